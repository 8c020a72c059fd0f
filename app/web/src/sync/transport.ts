// The interface of the transports, on which a project's stream arrives.
import type { SyncEvent } from "./events";

/** Why a connection has ended. */
export type Closing =
  | { kind: "lost" } // cut, refused, or unexplained
  | { kind: "crowded" } // other tabs already keep as many connections open as they may
  | { kind: "malformed" } // the server sent something unreadable, so something may be missing
  | { kind: "restart"; wait?: number } // the server restarts; `wait` in ms if it named a time
  | { kind: "revoked" }; // the user may have lost the right to read

export interface Sink {
  /** Called with each event, and with null for something that cannot be read. */
  onEvent(event: SyncEvent | null): void;
  /** Called at the end of the connection; nothing follows. */
  onClosed(closing: Closing): void;
}

export interface Connection {
  close(): void;
  /** Show the other users which scene this one looks at; missing where the transport cannot send. */
  present?(sceneId: string | null): void;
}

export type TransportName = "sse" | "socket" | "poll";

export interface Transport {
  readonly name: TransportName;
  /** Deliver everything after the cursor to the sink until closed; with null, a snapshot and everything after it. */
  connect(projectId: string, after: string | null, sink: Sink): Connection;
}

export const pathOf = (projectId: string, last: "events" | "socket" | "changes" | "snapshot"): string =>
  `/api/projects/${encodeURIComponent(projectId)}/${last}`;

/** What an error status in place of the stream means. */
export function refusal(response: Response): Closing {
  if ([401, 403, 404].includes(response.status)) return { kind: "revoked" };
  const seconds = Number(response.headers.get("Retry-After"));
  if ([429, 503].includes(response.status) && seconds > 0) {
    return { kind: "restart", wait: seconds * 1000 * (1 + Math.random()) }; // so that clients do not all return at the same time
  }
  return { kind: "lost" };
}
