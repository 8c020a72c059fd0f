// Undo and redo of the user's own changes, by button or key, one at a time; a note shows the result.
import { useCallback, useEffect, useRef, useState } from "react";
import { useSession } from "../account/session";
import { redo, undo } from "../actions";
import { ApiError, explain } from "../api";
import type { RevertResult } from "../model";

const NOTE_DURATION_MS = 10_000;

/** A note that is shown for a while; `undoable` if Undo takes back just what it reports. */
export interface Note {
  text: string;
  failed?: boolean;
  undoable?: boolean;
}

export interface History {
  busy: boolean;
  note: Note | null;
  showNote: (note: Note | null) => void;
  undo: () => void;
  redo: () => void;
}

type Direction = "undo" | "redo";
const REQUESTS: Record<Direction, (projectId: string) => Promise<RevertResult>> = { undo, redo };

/** Return why an undo or redo was refused; `later` in the details means later changes of other users. */
function refusalMessage(direction: Direction, error: unknown): string {
  const { later } = (error instanceof ApiError && (error.details as { later?: unknown } | null)) || {};
  if (!Array.isArray(later)) return explain(error);
  return `Cannot ${direction}: somebody else has changed the same scenes since.`;
}

/** Whether the target of a key is a text field, which has its own undo. */
function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["range", "checkbox"].includes(target.type);
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLElement && target.isContentEditable);
}

function useKeys(enabled: boolean, run: (direction: Direction) => void) {
  useEffect(() => {
    if (!enabled) return;
    const onKeyDown = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "z" || isTyping(event.target)) return;
      event.preventDefault();
      if (!event.repeat) run(event.shiftKey ? "redo" : "undo");
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [enabled, run]);
}

export function useHistory(projectId: string, canEdit: boolean): History {
  const { expire } = useSession();
  const [busy, setBusy] = useState(false);
  const [note, showNote] = useState<Note | null>(null);
  const isRunning = useRef(false); // two keys may be pressed before the next render

  const run = useCallback(
    async (direction: Direction) => {
      if (isRunning.current) return;
      isRunning.current = true;
      setBusy(true);
      try {
        const { message } = await REQUESTS[direction](projectId);
        showNote({ text: message?.content ?? "It was so already." });
      } catch (error) {
        if (error instanceof ApiError && error.code === "UNAUTHORIZED") expire();
        showNote({ text: refusalMessage(direction, error), failed: true });
      } finally {
        isRunning.current = false;
        setBusy(false);
      }
    },
    [projectId, expire],
  );
  useKeys(canEdit, run);

  useEffect(() => {
    if (note === null) return;
    const timer = setTimeout(() => showNote(null), NOTE_DURATION_MS);
    return () => clearTimeout(timer);
  }, [note]);

  return { busy, note, showNote, undo: () => void run("undo"), redo: () => void run("redo") };
}
