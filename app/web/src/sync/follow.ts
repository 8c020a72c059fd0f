// Follows one project: keeps its state equal to the server's log, whatever happens to the connection. Knows no user interface.
import type { Snapshot } from "../model";
import { apply, fromSnapshot, type ProjectState } from "./apply";
import { backoff } from "./backoff";
import { isDurable, readCursor, type DurableEvent, type LiveEvent, type SyncEvent } from "./events";
import { sse, type Transport } from "./transport";

const SILENCE_MOST = 35_000; // ms without a word, heartbeats included: the connection is dead
const BEHIND_MOST = 2_000; // ms that the log's head may be ahead of what arrived
const STABLE_AFTER = 10_000; // ms of a good connection before its failures are forgotten
const TICK = 1_000; // ms

export type Connection = "connecting" | "live" | "reconnecting" | "ended";

export interface Following {
  /** Null until the first snapshot. */
  state: ProjectState | null;
  connection: Connection;
  /** Why the following ended for good. */
  ending: unknown;
}

export interface FollowOptions {
  readSnapshot: (projectId: string) => Promise<Snapshot>;
  /** True for an error of `readSnapshot` that no retry will cure: signed out, no such project. */
  isFinal: (error: unknown) => boolean;
  transport?: Transport;
  random?: () => number;
}

export interface Follower {
  current(): Following;
  /** Calls back after each change; returns the way to stop that. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

export function follow(projectId: string, options: FollowOptions): Follower {
  const following = new Follow(projectId, options);
  following.connect();
  return following;
}

class Follow implements Follower {
  #now: Following = { state: null, connection: "connecting", ending: null };
  #listeners = new Set<() => void>();
  #connection: { close(): void } | null = null;
  #attempt = 0; // what an older connection still says is not heard
  #batch: (DurableEvent | LiveEvent)[] = []; // part of a transaction, held until its last event
  #received = 0; // the last revision in hand, applied or held
  #failures = 0;
  #heardAt = 0;
  #liveSince: number | null = null;
  #behindSince: number | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #again: (() => void) | null = null; // what waits for the retry
  readonly #ticking = setInterval(() => this.#tick(), TICK);

  constructor(
    private readonly projectId: string,
    private readonly options: FollowOptions,
  ) {
    globalThis.addEventListener?.("online", this.#hurry);
    globalThis.document?.addEventListener("visibilitychange", this.#hurry);
  }

  current(): Following {
    return this.#now;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#drop();
    clearInterval(this.#ticking);
    clearTimeout(this.#retry);
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    this.#listeners.clear();
  }

  connect(): void {
    this.#drop();
    const attempt = this.#attempt;
    const { state } = this.#now;
    let opened = false;
    this.#received = state?.revision ?? 0;
    this.#heardAt = Date.now();
    const after = state && `${state.epoch}.${state.revision}`;
    this.#connection = (this.options.transport ?? sse).connect(this.projectId, after, {
      onOpen: () => {
        opened = true;
      },
      onEvent: (event) => {
        if (attempt === this.#attempt) this.#receive(event);
      },
      onClosed: () => {
        if (attempt !== this.#attempt) return;
        // A stream that never opened does not say why; reading the snapshot does.
        this.#later(opened ? () => this.connect() : () => this.#resync());
      },
    });
  }

  #receive(event: SyncEvent): void {
    this.#heardAt = Date.now();
    if (isDurable(event)) return this.#collect(event);
    switch (event.type) {
      case "project.snapshot":
        return this.#adopt(event.data);
      case "sync.ready":
        this.#liveSince = Date.now();
        this.#set({ connection: "live" });
        return this.#compareHead(event.data.cursor);
      case "sync.heartbeat":
        return this.#compareHead(event.data.cursor);
      case "sync.reset":
        this.#batch = []; // the snapshot comes next
        return;
      case "sync.revoked":
        return this.#later(() => this.#resync()); // the role changed: reading again tells what is left
      default:
        if (this.#batch.length > 0) this.#batch.push(event);
        else this.#applyAll([event]);
    }
  }

  /** Hold the events of a transaction until all are there; then the state takes them in one step. */
  #collect(event: DurableEvent): void {
    if (event.revision <= this.#received) return;
    if (this.#now.state === null || event.revision !== this.#received + 1) return this.#later(() => this.#resync());
    this.#received = event.revision;
    this.#batch.push(event);
    if (event.revision < event.commit) return;
    this.#applyAll(this.#batch.splice(0));
  }

  #applyAll(events: (DurableEvent | LiveEvent)[]): void {
    const { state } = this.#now;
    if (state !== null) this.#set({ state: events.reduce(apply, state) });
  }

  #adopt(snapshot: Snapshot): void {
    this.#batch = [];
    this.#received = snapshot.revision;
    this.#behindSince = null;
    this.#set({ state: fromSnapshot(snapshot) });
  }

  /** The server names the head of the log from time to time; what is before it should have come. */
  #compareHead(text: string): void {
    const head = readCursor(text);
    const { state } = this.#now;
    if (head === null || state === null) return;
    if (head.epoch !== state.epoch) return this.#later(() => this.#resync());
    if (head.revision > this.#received) this.#behindSince ??= Date.now();
    else this.#behindSince = null;
  }

  #tick(): void {
    const now = Date.now();
    if (this.#connection === null) return;
    if (this.#liveSince !== null && now - this.#liveSince > STABLE_AFTER) this.#failures = 0;
    const behind = this.#behindSince !== null && now - this.#behindSince > BEHIND_MOST;
    if (behind || now - this.#heardAt > SILENCE_MOST) this.#later(() => this.connect());
  }

  /** Read everything anew and go on from there. */
  async #resync(): Promise<void> {
    this.#drop();
    const attempt = this.#attempt;
    try {
      const snapshot = await this.options.readSnapshot(this.projectId);
      if (attempt !== this.#attempt) return;
      this.#adopt(snapshot);
      this.connect();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (this.options.isFinal(error)) this.#end(error);
      else this.#later(() => this.#resync());
    }
  }

  #later(again: () => void): void {
    this.#drop();
    this.#failures += 1;
    this.#set({ connection: this.#now.state === null ? "connecting" : "reconnecting" });
    this.#again = again;
    this.#retry = setTimeout(this.#retryNow, backoff(this.#failures, this.options.random));
  }

  #retryNow = (): void => {
    clearTimeout(this.#retry);
    const again = this.#again;
    this.#again = null;
    again?.();
  };

  /** The network or the tab is back: no reason to wait any longer. */
  #hurry = (): void => {
    if (globalThis.document?.visibilityState !== "hidden") this.#retryNow();
  };

  #end(error: unknown): void {
    this.#drop();
    clearInterval(this.#ticking);
    this.#set({ connection: "ended", ending: error });
  }

  #drop(): void {
    this.#attempt += 1;
    this.#connection?.close();
    this.#connection = null;
    this.#batch = [];
    this.#liveSince = null;
    this.#behindSince = null;
    clearTimeout(this.#retry);
    this.#again = null;
  }

  #set(change: Partial<Following>): void {
    this.#now = { ...this.#now, ...change };
    for (const listener of this.#listeners) listener();
  }
}
