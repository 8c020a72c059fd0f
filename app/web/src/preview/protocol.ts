// What the studio and the sandboxed preview frame say to each other, and the checks on what comes out of the frame.
// The frame runs untrusted code: everything it sends is read as unknown. Nothing it says changes anything but the player.

export const VERSION = 1;
export const ERROR_MOST = 2048; // characters of an error message
const FRAME_MOST = 1_000_000; // no frame number is beyond this

export interface SceneLoad {
  code: string;
  props: Record<string, unknown>;
  fps: number;
  width: number;
  height: number;
  durationInFrames: number;
}

/** `load` counts the loads, so that a late answer to an earlier one is known as such. */
export type ToFrame =
  | ({ v: 1; type: "load"; load: number; frame: number } & SceneLoad)
  | { v: 1; type: "seek"; frame: number }
  | { v: 1; type: "play" | "pause" | "ping" };

export type FromFrame =
  | { v: 1; type: "rendered"; load: number }
  | { v: 1; type: "error"; load: number; message: string }
  | { v: 1; type: "frame"; frame: number }
  | { v: 1; type: "pong" | "ended" };

/** The two messages that go through the windows themselves, before there is a port. */
export const READY = "reelroom.preview.ready";
export const PORT = "reelroom.preview.port";

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= FRAME_MOST;

/** The message if it is one of ours in every field, else null. */
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
      return isCount(load) && typeof message === "string" ? { v, type, load, message: message.slice(0, ERROR_MOST) } : null;
    default:
      return null;
  }
}
