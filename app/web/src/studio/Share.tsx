// Makes an invitation's link for another user.
import { useState } from "react";
import { invite } from "../actions";
import { useAction } from "../ui/useAction";

export function Share({ projectId }: { projectId: string }) {
  const { busy, error, run } = useAction();
  const [link, setLink] = useState<string | null>(null);
  const make = async () => {
    const made = await run(() => invite(projectId, "editor"));
    if (made) setLink(new URL(`/invites/${encodeURIComponent(made.token)}`, window.location.origin).href);
  };
  return (
    <span className="share">
      {error !== null && <span role="alert">{error}</span>}
      {link !== null && <input readOnly aria-label="Invitation link" value={link} onFocus={(event) => event.target.select()} />}
      <button className="quiet" disabled={busy} onClick={make}>
        Invite
      </button>
    </span>
  );
}
