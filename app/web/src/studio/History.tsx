// The undo and redo buttons, and the line with the note about the last action.
import type { History } from "./useHistory";

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
const KEYS = isMac ? { undo: "⌘Z", redo: "⇧⌘Z" } : { undo: "Ctrl+Z", redo: "Ctrl+Shift+Z" };

export function UndoButtons({ history }: { history: History }) {
  return (
    <span className="history">
      <button disabled={history.busy} title={`Undo your last change (${KEYS.undo})`} onClick={history.undo}>
        <span aria-hidden="true">↶ </span>Undo
      </button>
      <button disabled={history.busy} title={`Redo (${KEYS.redo})`} onClick={history.redo}>
        <span aria-hidden="true">↷ </span>Redo
      </button>
    </span>
  );
}

export function NoteLine({ history }: { history: History }) {
  const { note } = history;
  return (
    <div className="note" role="status" aria-label="Note" data-failed={note?.failed ?? false}>
      {note !== null && (
        <p>
          <span title={note.text}>{note.text}</span>
          {note.undoable && (
            <button disabled={history.busy} aria-label="Undo the deletion" onClick={history.undo}>
              Undo
            </button>
          )}
          <button className="icon" aria-label="Dismiss" onClick={() => history.showNote(null)}>
            ✕
          </button>
        </p>
      )}
    </div>
  );
}
