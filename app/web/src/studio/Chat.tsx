// The conversation, the current turn, and the form for the next prompt.
import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { startRun } from "../actions";
import type { Message, Scene } from "../model";
import type { ProjectState, RunState } from "../sync/apply";
import { useAction } from "../ui/useAction";
import { outcome } from "./outcome";
import { Turn } from "./Turn";
import { useChanges, type Changes } from "./useChanges";

const MAX_PROMPT_CHARACTERS = 12_000;
const NEAR_END_PX = 120; // a reader who is nearer to the end is kept at the end

interface MessageItemProps {
  message: Message;
  run: RunState | undefined;
  state: ProjectState;
  changes: Changes;
  onShowScene: (sceneId: string) => void;
}

function MessageItem({ message, run, state, changes, onShowScene }: MessageItemProps) {
  const live = message.status === "pending" && run?.message?.messageId === message.id ? run.message.text.text : "";
  const text = live.length > message.content.length ? live : message.content;
  const isAssistant = message.role === "assistant";
  const waiting = message.status === "pending" && run?.run.status === "queued";
  const { label, tone } = outcome(message, changes);
  const changed = new Set(isAssistant ? [...(run?.sceneIds ?? []), ...(changes[message.id] ?? [])] : []);
  const scenes = [...changed].flatMap((id) => (id !== null && state.scenes[id]) || []);
  return (
    <li className={`message message-${message.role}`} data-message-id={message.id} data-status={message.status}>
      {text === "" && message.status === "pending" ? (
        <p className="dots" aria-label="Writing">
          <i />
          <i />
          <i />
        </p>
      ) : (
        <p>{text}</p>
      )}
      {isAssistant && (
        <footer>
          <span className={`chip chip-${tone}`}>{waiting ? "Waiting" : label}</span>
          {scenes.map((scene) => (
            <button key={scene.id} className="chip chip-scene" title={scene.name} onClick={() => onShowScene(scene.id)}>
              {scene.name}
            </button>
          ))}
        </footer>
      )}
    </li>
  );
}

/** Keeps a list scrolled to its end unless the reader has scrolled away from it. */
function useFollowEnd(...content: unknown[]) {
  const list = useRef<HTMLOListElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    if (list.current && atEnd.current) list.current.scrollTop = list.current.scrollHeight;
  }, content);
  const onScroll = () => {
    const box = list.current;
    if (box) atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
  };
  return { list, onScroll };
}

interface ComposerProps {
  projectId: string;
  scene: Scene | null;
  onStarted: (runId: string) => void;
}

function Composer({ projectId, scene, onStarted }: ComposerProps) {
  const { busy, error, run } = useAction();
  const [prompt, setPrompt] = useState("");
  const submit = async (event?: FormEvent) => {
    event?.preventDefault();
    const text = prompt.trim();
    if (text === "" || busy) return;
    const started = await run(() => startRun(projectId, text, scene?.id ?? null));
    if (started === undefined) return;
    setPrompt((now) => (now.trim() === text ? "" : now));
    onStarted(started.run.id);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void submit();
  };
  return (
    <form className="composer" onSubmit={submit}>
      {error !== null && <p role="alert">{error}</p>}
      <textarea
        aria-label="Prompt"
        rows={3}
        maxLength={MAX_PROMPT_CHARACTERS}
        placeholder={'Describe a scene or a change, such as: a title that says "Hello"'}
        value={prompt}
        onChange={(event) => setPrompt(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="row">
        <span className="hint" title={scene?.name}>{scene ? `Selected: ${scene.name}` : "No scene yet"}</span>
        <span className="spacer" />
        <button className="primary" disabled={busy || prompt.trim() === ""}>
          Send
        </button>
      </div>
    </form>
  );
}

interface ChatProps {
  state: ProjectState;
  run: RunState | null;
  scene: Scene | null;
  canEdit: boolean;
  onStarted: (runId: string) => void;
  onShowScene: (sceneId: string) => void;
}

export function Chat({ state, run, scene, canEdit, onStarted, onShowScene }: ChatProps) {
  const { messages, runs } = state;
  const changes = useChanges(state.project.id, messages);
  const answer = run && messages.find(({ id }) => id === run.run.assistantMessageId);
  const { list, onScroll } = useFollowEnd(state, changes);
  const runOf = (message: Message) =>
    runs.find((entry) => entry.run.id === message.runId || entry.run.assistantMessageId === message.id);
  return (
    <section className="chat" aria-label="Chat">
      <ol className="messages" aria-label="Messages" ref={list} onScroll={onScroll}>
        {messages.length === 0 && <li className="hint">Say what the video should show. Each scene is code that you can watch being written.</li>}
        {messages.map((message) => (
          <MessageItem key={message.id} message={message} run={runOf(message)} state={state} changes={changes} onShowScene={onShowScene} />
        ))}
      </ol>
      {run !== null && (
        <Turn
          entry={run}
          outcome={answer?.status === "success" ? outcome(answer, changes) : null}
          waiting={runs.filter(({ run: { status } }) => status === "queued").length}
          canEdit={canEdit}
        />
      )}
      {canEdit && <Composer projectId={state.project.id} scene={scene} onStarted={onStarted} />}
    </section>
  );
}
