// The messages between the studio and the sandboxed preview frame, and the checks on those from the frame.
// The frame runs untrusted code, so everything it sends is treated as unknown and affects nothing but the player.

export const VERSION = 1;
export const MAX_ERROR_CHARACTERS = 2048; // of an error message
const MAX_COUNT = 1_000_000; // bounds frame numbers and load counts

export interface SceneLoad {
  code: string;
  props: Record<string, unknown>;
  fps: number;
  width: number;
  height: number;
  durationInFrames: number;
}

/** `load` numbers the loads, so that a late answer to an earlier one is recognised. */
export type ToFrame =
  | ({ v: 1; type: "load"; load: number; frame: number } & SceneLoad)
  | { v: 1; type: "seek"; frame: number }
  | { v: 1; type: "play" | "pause" | "ping" };

export type FromFrame =
  | { v: 1; type: "rendered"; load: number }
  | { v: 1; type: "error"; load: number; message: string }
  | { v: 1; type: "frame"; frame: number }
  | { v: 1; type: "pong" | "ended" };

/** The two messages between the windows themselves, before there is a port. */
export const READY = "reelroom.preview.ready";
export const PORT = "reelroom.preview.port";

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_COUNT;

/** Return the message with its known fields if all of them are valid, else null. */
export function readFromFrame(data: unknown): FromFrame | null {
  if (typeof data !== "object" || data === null) return null;
  const { v, type, load, frame, message } = data as Record<string, unknown>;
  if (v !== VERSION) return null;
  switch (type) {
    case "pong":
    case "ended":
      return { v, type };
    case "frame":
      return isCount(frame) ? { v, type, frame } : null;
    case "rendered":
      return isCount(load) ? { v, type, load } : null;
    case "error":
      return isCount(load) && typeof message === "string" ? { v, type, load, message: message.slice(0, MAX_ERROR_CHARACTERS) } : null;
    default:
      return null;
  }
}
