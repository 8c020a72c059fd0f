// Creates an invitation link for another user.
import { useState } from "react";
import { createInvite } from "../actions";
import { useAction } from "../ui/useAction";

export function Share({ projectId }: { projectId: string }) {
  const { busy, error, run } = useAction();
  const [link, setLink] = useState<string | null>(null);
  const create = async () => {
    const invitation = await run(() => createInvite(projectId, "editor"));
    if (invitation) setLink(new URL(`/invites/${encodeURIComponent(invitation.token)}`, window.location.origin).href);
  };
  return (
    <span className="share">
      {error !== null && <span role="alert">{error}</span>}
      {link !== null && <input readOnly aria-label="Invitation link" value={link} onFocus={(event) => event.target.select()} />}
      <button className="quiet" disabled={busy} onClick={create}>
        Invite
      </button>
    </span>
  );
}
