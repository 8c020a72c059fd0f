// Accepts an invitation to a project; only on a click, so that opening the link changes nothing.
import { acceptInvite } from "../actions";
import { Link, navigate } from "../router";
import { useAction } from "../ui/useAction";

export function Invite({ token }: { token: string }) {
  const { busy, error, run } = useAction();
  const join = async () => {
    const joined = await run(() => acceptInvite(token));
    if (joined) navigate(`/projects/${encodeURIComponent(joined.projectId)}`);
  };
  return (
    <main className="page page-narrow">
      <p className="brand">Reelroom</p>
      <h1>You are invited to a project</h1>
      {error !== null && <p role="alert">{error}</p>}
      <button className="primary" disabled={busy} onClick={join}>
        Join the project
      </button>
      <Link to="/">All projects</Link>
    </main>
  );
}
