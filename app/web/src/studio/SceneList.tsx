// The scenes in the order of the video, with the controls that change them directly.
import { useState, type KeyboardEvent } from "react";
import { addBlankScene, deleteScene, renameScene, reorderScenes, trimScene } from "../actions";
import type { Scene } from "../model";
import type { ProjectState } from "../sync/apply";
import { useAction } from "../ui/useAction";
import type { Note } from "./useHistory";

const MAX_NAME_CHARACTERS = 200;
const MAX_DURATION_FRAMES = 18_000;

interface EditableProps {
  label: string;
  start: string;
  type: "text" | "number";
  onDone: (text: string | null) => void;
}

/** An input that calls `onDone` on Enter or when it loses focus, with null on Escape or if nothing changed. */
function Editable({ label, start, type, onDone }: EditableProps) {
  const [text, setText] = useState(start);
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.key === "Enter") event.currentTarget.blur();
    if (event.key === "Escape") onDone(null);
  };
  return (
    <input
      aria-label={label}
      type={type}
      autoFocus
      value={text}
      maxLength={MAX_NAME_CHARACTERS}
      {...(type === "number" ? { min: 1, max: MAX_DURATION_FRAMES } : {})}
      onChange={(event) => setText(event.target.value)}
      onFocus={(event) => event.target.select()}
      onKeyDown={onKeyDown}
      onBlur={() => onDone(text.trim() === "" || text.trim() === start ? null : text.trim())}
    />
  );
}

interface SceneRowProps {
  scene: Scene;
  number: number;
  last: boolean;
  fps: number;
  selected: boolean;
  canEdit: boolean;
  act: (work: () => Promise<unknown>) => void;
  onDelete: () => void;
  onSelect: () => void;
  onMove: (by: -1 | 1) => void;
}

function SceneRow({ scene, number, last, fps, selected, canEdit, act, onDelete, onSelect, onMove }: SceneRowProps) {
  // The base is the scene as it was when the editing began, so that another user's change in between is a conflict.
  const [editing, setEditing] = useState<{ what: "name" | "duration"; base: Scene } | null>(null);
  const done = (text: string | null) => {
    setEditing(null);
    if (editing === null || text === null) return;
    const { what, base } = editing;
    act(() => (what === "name" ? renameScene(base, text) : trimScene(base, Math.round(Number(text)))));
  };
  const duration = `${scene.duration} f · ${(scene.duration / fps).toFixed(1)} s`;
  return (
    <li className="scene" data-scene-id={scene.id} aria-current={selected ? "true" : undefined}>
      {editing?.what === "name" ? (
        <Editable label="Scene name" type="text" start={editing.base.name} onDone={done} />
      ) : (
        <button className="scene-name" onClick={onSelect}>
          <span className="number">{number}</span>
          <span className="name" title={scene.name}>{scene.name}</span>
        </button>
      )}
      <div className="row">
        {editing?.what === "duration" ? (
          <Editable label="Duration in frames" type="number" start={String(editing.base.duration)} onDone={done} />
        ) : (
          <button className="duration" disabled={!canEdit} title="Change the duration" aria-label={`Duration of ${scene.name}: ${duration}`} onClick={() => setEditing({ what: "duration", base: scene })}>
            {duration}
          </button>
        )}
        <span className="spacer" />
        {canEdit && (
          <>
            <button className="icon" aria-label={`Move ${scene.name} up`} disabled={number === 1} onClick={() => onMove(-1)}>
              ↑
            </button>
            <button className="icon" aria-label={`Move ${scene.name} down`} disabled={last} onClick={() => onMove(1)}>
              ↓
            </button>
            <button className="icon" aria-label={`Rename ${scene.name}`} onClick={() => setEditing({ what: "name", base: scene })}>
              ✎
            </button>
            <button className="icon" aria-label={`Delete ${scene.name}`} onClick={onDelete}>
              ✕
            </button>
          </>
        )}
      </div>
    </li>
  );
}

interface SceneListProps {
  state: ProjectState;
  selected: Scene | null;
  canEdit: boolean;
  onSelect: (sceneId: string) => void;
  showNote: (note: Note | null) => void;
}

export function SceneList({ state, selected, canEdit, onSelect, showNote }: SceneListProps) {
  const { busy, error, run, dismiss } = useAction();
  const { project, sceneIds } = state;
  const scenes = sceneIds.flatMap((id) => state.scenes[id] ?? []);
  const frames = scenes.reduce((sum, scene) => sum + scene.duration, 0);
  const act = <T,>(work: () => Promise<T>) => {
    showNote(null); // what the note offers to undo is no longer the last change
    return run(work);
  };
  const remove = async (scene: Scene) => {
    const done = await act(async () => {
      await deleteScene(scene);
      return true;
    });
    if (done) showNote({ text: `Deleted “${scene.name}”`, undoable: true });
  };
  const move = (from: number, by: -1 | 1) => {
    const moved = sceneIds[from];
    if (moved === undefined) return;
    void act(() => reorderScenes(project.id, sceneIds.toSpliced(from, 1).toSpliced(from + by, 0, moved)));
  };
  const add = async () => {
    const created = await act(() => addBlankScene(project.id));
    if (created) onSelect(created.id);
  };
  return (
    <aside className="scenes" aria-busy={busy}>
      <header>
        <h2>Scenes</h2>
        <span className="hint">{(frames / project.fps).toFixed(1)} s</span>
        <span className="spacer" />
        {canEdit && (
          <button disabled={busy} onClick={add}>
            Add scene
          </button>
        )}
      </header>
      {error !== null && (
        <p role="alert">
          {error}{" "}
          <button className="quiet" onClick={dismiss}>
            Dismiss
          </button>
        </p>
      )}
      <ol aria-label="Scenes">
        {scenes.map((scene, index) => (
          <SceneRow
            key={scene.id}
            scene={scene}
            number={index + 1}
            last={index === scenes.length - 1}
            fps={project.fps}
            selected={scene.id === selected?.id}
            canEdit={canEdit}
            act={(work) => void act(work)}
            onDelete={() => void remove(scene)}
            onSelect={() => onSelect(scene.id)}
            onMove={(by) => move(index, by)}
          />
        ))}
      </ol>
    </aside>
  );
}
