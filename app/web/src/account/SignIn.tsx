// The form to sign in with e-mail and password, or to register.
import { useState, type FormEvent } from "react";
import { register, signIn } from "../actions";
import { useAction } from "../ui/useAction";
import { useSession } from "./session";

export function SignIn() {
  const { refresh } = useSession();
  const { busy, error, run, dismiss } = useAction();
  const [isNew, setIsNew] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [email, password, name] = ["email", "password", "name"].map((field) => String(form.get(field) ?? "")) as [string, string, string];
    const succeeded = await run(async () => {
      if (isNew) await register(email, password, name);
      else await signIn(email, password);
      return true;
    });
    if (succeeded) refresh();
  };

  return (
    <main className="page page-narrow">
      <p className="brand">Reelroom</p>
      <h1>{isNew ? "Create your account" : "Sign in"}</h1>
      <form className="form" onSubmit={submit} aria-label={isNew ? "Register" : "Sign in"}>
        {isNew && (
          <label>
            Name
            <input name="name" required maxLength={200} autoComplete="name" />
          </label>
        )}
        <label>
          E-mail
          <input name="email" type="email" required maxLength={254} autoComplete="email" />
        </label>
        <label>
          Password
          <input name="password" type="password" required minLength={isNew ? 8 : 1} maxLength={1024} autoComplete={isNew ? "new-password" : "current-password"} />
        </label>
        {error !== null && <p role="alert">{error}</p>}
        <button className="primary" disabled={busy}>
          {isNew ? "Create account" : "Sign in"}
        </button>
      </form>
      <button
        className="quiet"
        onClick={() => {
          dismiss();
          setIsNew(!isNew);
        }}
      >
        {isNew ? "I have an account" : "I am new here"}
      </button>
      <p className="hint">
        On your own machine, open the link that the server printed when it started, or run <code>reelroom user login</code>.
      </p>
    </main>
  );
}
