// The interface of a follower: what it knows about its project, what it can do, and what it needs.
import type { Snapshot } from "../model";
import type { ProjectState } from "./apply";
import type { TransportFallback } from "./fallback";
import type { TransportName } from "./transport";

export type ConnectionStatus = "connecting" | "live" | "reconnecting" | "ended";

export interface FollowerState {
  /** Null until the first snapshot. */
  state: ProjectState | null;
  connection: ConnectionStatus;
  transport: TransportName;
  /** How often the state was replaced by a snapshot. */
  resets: number;
  /** True while the state had to be replaced again and again; the follower then retries slowly. */
  looping: boolean;
  /** The error for which the follower gave up, null while it has not. */
  ending: unknown;
}

export interface FollowOptions {
  readSnapshot: (projectId: string) => Promise<Snapshot>;
  /** Reads the head of the log: a cursor beyond `after` if there is anything new. Without it a wake-up checks nothing. */
  readHead?: (projectId: string, after: string) => Promise<string>;
  /** True for an error of `readSnapshot` that no retry will cure: signed out, no such project. */
  isFinal: (error: unknown) => boolean;
  fallback?: TransportFallback;
  random?: () => number;
}

export interface Follower {
  current(): FollowerState;
  /** Calls back after each change; returns a function that stops it. */
  subscribe(listener: () => void): () => void;
  /** Show the other users which scene this one looks at, if the transport can send. */
  present(sceneId: string | null): void;
  close(): void;
}
