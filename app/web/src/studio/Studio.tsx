// The studio of one project: chat on the left, player and code in the middle, scenes on the right.
import { useEffect, useRef, useState } from "react";
import { useSession } from "../account/session";
import { explain, ApiError } from "../api";
import { SIZES, type Scene } from "../model";
import { Player } from "../preview/Player";
import { Link } from "../router";
import { isOver, type ProjectState, type RunState } from "../sync/apply";
import type { ConnectionStatus } from "../sync/follower";
import type { TransportName } from "../sync/transport";
import { Chat } from "./Chat";
import { CodePanel } from "./CodePanel";
import { NoteLine, UndoButtons } from "./History";
import { People } from "./People";
import { SceneList } from "./SceneList";
import { Share } from "./Share";
import { useHistory } from "./useHistory";
import { useProject } from "./useProject";

const CONNECTION_LABELS: Record<ConnectionStatus, string> = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  ended: "Disconnected",
};

/** Return the turn to show: the first that is not over, else the last. */
function currentRun(runs: RunState[]): RunState | null {
  return runs.find((entry) => !isOver(entry.run)) ?? runs.at(-1) ?? null;
}

/** The selected scene: the one the user chose, or the last one that a turn of this window wrote; never a deleted one. */
function useSelection(state: ProjectState, ownRuns: ReadonlySet<string>) {
  const [chosen, choose] = useState<string | null>(null);
  const written = state.runs.findLast((entry) => ownRuns.has(entry.run.id) && entry.sceneIds.length > 0);
  const latest = written && `${written.run.id} ${written.sceneIds.at(-1)}`;
  const seen = useRef(latest);
  useEffect(() => {
    if (latest === undefined || latest === seen.current) return;
    seen.current = latest;
    choose(latest.split(" ")[1] ?? null);
  }, [latest]);
  const sceneId = chosen !== null && chosen in state.scenes ? chosen : (state.sceneIds[0] ?? null);
  const scene: Scene | null = (sceneId !== null && state.scenes[sceneId]) || null;
  return { scene, choose };
}

interface OpenProjectProps {
  state: ProjectState;
  connection: ConnectionStatus;
  transport: TransportName;
  onSelect: (sceneId: string | null) => void;
}

function OpenProject({ state, connection, transport, onSelect }: OpenProjectProps) {
  const { account, signOut } = useSession();
  const { project, members, sceneIds, runs } = state;
  const [ownRuns, setOwnRuns] = useState<ReadonlySet<string>>(new Set());
  const { scene, choose } = useSelection(state, ownRuns);
  const selected = scene?.id ?? null;
  useEffect(() => onSelect(selected), [onSelect, selected]);
  const run = currentRun(runs);
  const isOwner = account?.id === project.ownerId;
  const canEdit = isOwner || (account ? members[account.id]?.role : undefined) !== "viewer";
  const size = SIZES[project.format];
  const history = useHistory(project.id, canEdit);

  const next = scene ? sceneIds[sceneIds.indexOf(scene.id) + 1] : undefined;
  return (
    <div className="studio">
      <header className="bar">
        <Link to="/" className="brand">
          Reelroom
        </Link>
        <h1 title={project.title}>{project.title}</h1>
        <span className="hint">
          {size.width}×{size.height} · {project.fps} fps
        </span>
        <span className="spacer" />
        <People state={state} self={account?.id ?? null} />
        {canEdit && <UndoButtons history={history} />}
        {isOwner && <Share projectId={project.id} />}
        <span
          className={`connection connection-${connection}`}
          role="status"
          aria-label="Connection"
          data-transport={transport}
        >
          {CONNECTION_LABELS[connection]}
        </span>
        <button className="quiet" onClick={signOut}>
          Sign out
        </button>
      </header>
      <Chat
        state={state}
        run={run}
        scene={scene}
        canEdit={canEdit}
        onStarted={(id) => {
          history.showNote(null);
          setOwnRuns((before) => new Set(before).add(id));
        }}
        onShowScene={choose}
      />
      <main className="centre">
        <Player
          scene={scene}
          size={size}
          fps={project.fps}
          onNext={next === undefined ? null : () => choose(next)}
        />
        <CodePanel run={run} scene={scene} />
      </main>
      <SceneList state={state} selected={scene} canEdit={canEdit} onSelect={choose} showNote={history.showNote} />
      <NoteLine history={history} />
    </div>
  );
}

export function Studio({ projectId }: { projectId: string }) {
  const { state, connection, transport, ending, present } = useProject(projectId);
  const { expire } = useSession();
  const signedOut = ending instanceof ApiError && ending.code === "UNAUTHORIZED";
  useEffect(() => {
    if (signedOut) expire();
  }, [signedOut, expire]);
  if (ending !== null) {
    return (
      <main className="page page-narrow">
        <h1>This project is not open to you</h1>
        <p role="alert">{explain(ending)}</p>
        <Link to="/">All projects</Link>
      </main>
    );
  }
  if (state === null) {
    return (
      <main className="page page-quiet" aria-busy="true">
        <p role="status">{CONNECTION_LABELS[connection]}</p>
      </main>
    );
  }
  return <OpenProject state={state} connection={connection} transport={transport} onSelect={present} />;
}
