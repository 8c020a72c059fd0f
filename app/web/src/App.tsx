// Chooses the page by the path, and by whether a user is signed in.
import { Invite } from "./account/Invite";
import { SessionProvider, useSession } from "./account/session";
import { SignIn } from "./account/SignIn";
import { ProjectList } from "./projects/ProjectList";
import { Link, usePath } from "./router";
import { Studio } from "./studio/Studio";

function Page() {
  const [, first, second, ...rest] = usePath().split("/");
  if (rest.length === 0) {
    if (!first) return <ProjectList />;
    if (first === "projects" && second) return <Studio key={second} projectId={decodeURIComponent(second)} />;
    if (first === "invites" && second) return <Invite token={decodeURIComponent(second)} />;
  }
  return (
    <main className="page">
      <h1>There is no such page</h1>
      <Link to="/">All projects</Link>
    </main>
  );
}

function Gate() {
  const { account, problem, refresh } = useSession();
  if (account) return <Page />;
  if (account === null) return <SignIn />;
  return (
    <main className="page page-quiet" aria-busy={problem === null}>
      {problem !== null && (
        <>
          <p role="alert">{problem}</p>
          <button onClick={refresh}>Try again</button>
        </>
      )}
    </main>
  );
}

export function App() {
  return (
    <SessionProvider>
      <Gate />
    </SessionProvider>
  );
}
