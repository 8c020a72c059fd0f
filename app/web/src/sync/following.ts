// What one who follows a project sees and can do, and what the following needs for it.
import type { Snapshot } from "../model";
import type { ProjectState } from "./apply";
import type { Ladder } from "./ladder";
import type { TransportName } from "./transport";

export type Connection = "connecting" | "live" | "reconnecting" | "ended";

export interface Following {
  /** Null until the first snapshot. */
  state: ProjectState | null;
  connection: Connection;
  transport: TransportName;
  /** How often the state was thrown away for a snapshot. */
  resets: number;
  /** True while the state had to be thrown away again and again; it is tried on, slowly. */
  looping: boolean;
  /** Why the following ended for good. */
  ending: unknown;
}

export interface FollowOptions {
  readSnapshot: (projectId: string) => Promise<Snapshot>;
  /** How far the log is: a cursor beyond `after` if there is anything new. Without it nothing is asked on waking up. */
  readHead?: (projectId: string, after: string) => Promise<string>;
  /** True for an error of `readSnapshot` that no retry will cure: signed out, no such project. */
  isFinal: (error: unknown) => boolean;
  ladder?: Ladder;
  random?: () => number;
}

export interface Follower {
  current(): Following;
  /** Calls back after each change; returns the way to stop that. */
  subscribe(listener: () => void): () => void;
  /** Let the others know which scene is looked at, where the transport can tell it. */
  present(sceneId: string | null): void;
  close(): void;
}
