// What every way to receive a project's stream has in common.
import type { SyncEvent } from "./events";

/** Why a connection is over. */
export type Closing =
  | { kind: "lost" } // cut, refused, or unexplained
  | { kind: "crowded" } // other tabs keep as many connections as the browser can spare
  | { kind: "malformed" } // the server sent what cannot be read: something may be missing
  | { kind: "restart"; wait?: number } // the server says so, and perhaps when to come again (ms)
  | { kind: "revoked" }; // the right to read is in question

export interface Sink {
  /** One event, or null for something that cannot be read. */
  onEvent(event: SyncEvent | null): void;
  /** The connection is over; nothing comes after it. */
  onClosed(closing: Closing): void;
}

export interface Connection {
  close(): void;
  /** Tell the others which scene is looked at; missing where nothing can be sent. */
  present?(sceneId: string | null): void;
}

export type TransportName = "sse" | "socket" | "poll";

export interface Transport {
  readonly name: TransportName;
  /** Everything after the cursor (all of it, from a snapshot on, when null) goes to the sink until closed. */
  connect(projectId: string, after: string | null, sink: Sink): Connection;
}

export const pathOf = (projectId: string, last: "events" | "socket" | "changes" | "snapshot"): string =>
  `/api/projects/${encodeURIComponent(projectId)}/${last}`;

/** What a refusal before the first event means. */
export function refusal(response: Response): Closing {
  if ([401, 403, 404].includes(response.status)) return { kind: "revoked" };
  const seconds = Number(response.headers.get("Retry-After"));
  if ([429, 503].includes(response.status) && seconds > 0) {
    return { kind: "restart", wait: seconds * 1000 * (1 + Math.random()) }; // not all at the same time
  }
  return { kind: "lost" };
}
