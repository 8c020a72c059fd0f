// Undo and redo of the user's own changes: by button or key, one at a time, each with a line that says how it went.
import { useCallback, useEffect, useRef, useState } from "react";
import { useSession } from "../account/session";
import { redo, undo } from "../actions";
import { ApiError, explain } from "../api";
import type { WentBack } from "../model";

const NOTE_LASTS = 10_000; // ms

/** A line shown for a moment; `undoable` while Undo would take back just what it tells. */
export interface Note {
  text: string;
  failed?: boolean;
  undoable?: boolean;
}

export interface History {
  busy: boolean;
  note: Note | null;
  tell: (note: Note | null) => void;
  undo: () => void;
  redo: () => void;
}

type Walk = "undo" | "redo";
const WALKS: Record<Walk, (projectId: string) => Promise<WentBack>> = { undo, redo };

/** Others' later changes stand in the way when the refusal lists them. */
function refusal(walk: Walk, error: unknown): string {
  const { later } = (error instanceof ApiError && (error.details as { later?: unknown } | null)) || {};
  if (!Array.isArray(later)) return explain(error);
  return `Cannot ${walk}: somebody else has changed the same scenes since.`;
}

/** Keys that a text field wants for itself are not ours. */
function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["range", "checkbox"].includes(target.type);
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLElement && target.isContentEditable);
}

function useKeys(enabled: boolean, go: (walk: Walk) => void) {
  useEffect(() => {
    if (!enabled) return;
    const onKeyDown = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "z" || isTyping(event.target)) return;
      event.preventDefault();
      if (!event.repeat) go(event.shiftKey ? "redo" : "undo");
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [enabled, go]);
}

export function useHistory(projectId: string, canEdit: boolean): History {
  const { expire } = useSession();
  const [busy, setBusy] = useState(false);
  const [note, tell] = useState<Note | null>(null);
  const going = useRef(false); // two keys may come before the next drawing

  const go = useCallback(
    async (walk: Walk) => {
      if (going.current) return;
      going.current = true;
      setBusy(true);
      try {
        const { message } = await WALKS[walk](projectId);
        tell({ text: message?.content ?? "It was so already." });
      } catch (error) {
        if (error instanceof ApiError && error.code === "UNAUTHORIZED") expire();
        tell({ text: refusal(walk, error), failed: true });
      } finally {
        going.current = false;
        setBusy(false);
      }
    },
    [projectId, expire],
  );
  useKeys(canEdit, go);

  useEffect(() => {
    if (note === null) return;
    const over = setTimeout(() => tell(null), NOTE_LASTS);
    return () => clearTimeout(over);
  }, [note]);

  return { busy, note, tell, undo: () => void go("undo"), redo: () => void go("redo") };
}
