// Follows one project: keeps its state equal to the server's log, whatever happens to the connection. It is independent of
// the user interface. Its rules are the cases of tests/conformance, which the Python client keeps as well.
import type { Snapshot } from "../model";
import { applied, fromSnapshot, isBroken } from "./apply";
import { afterRestart, backoff, FAILURES_AFTER_LOOP, LoopGuard } from "./backoff";
import { isDurable, readCursor, type DurableEvent, type LiveEvent, type SyncEvent } from "./events";
import { sharedFallback, type TransportFallback } from "./fallback";
import type { Follower, FollowerState, FollowOptions } from "./follower";
import { ConnectionHealth } from "./health";
import { EventSequencer } from "./sequencer";
import type { Closing, Connection } from "./transport";
import { WakeEvents } from "./wakes";

const FIRST_EVENT_TIMEOUT_MS = 4_000; // of a connection
const TICK_MS = 1_000;
const ASLEEP_MS = 3_000; // between two ticks; more means that the machine or the tab was asleep

export function follow(projectId: string, options: FollowOptions): Follower {
  const follower = new ProjectFollower(projectId, options);
  follower.connect();
  return follower;
}

/** Why the snapshot is read: the transport may not get through ("short", "silent"), the log has a gap, or neither. */
type ResyncCause = "short" | "silent" | "gap" | null;

class ProjectFollower implements Follower {
  readonly #fallback: TransportFallback;
  readonly #random: () => number;
  readonly #loopGuard = new LoopGuard();
  readonly #wakeEvents = new WakeEvents(() => this.#onWake());
  readonly #ticker = setInterval(() => this.#onTick(), TICK_MS);
  readonly #listeners = new Set<() => void>();
  #current: FollowerState;
  #sceneId: string | null = null;
  #connection: Connection | null = null;
  #attempt = 0; // what an older connection or request still delivers is ignored
  #sequencer = new EventSequencer(null);
  #failures = 0;
  #health = new ConnectionHealth();
  #wentSilent = false; // the connection before this one
  #gapAt: number | null = null; // the revision after which the last gap was
  #tickedAt = Date.now();
  #firstEventTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #retryAction: (() => void) | null = null; // what the retry timer will run

  constructor(
    private readonly projectId: string,
    private readonly options: FollowOptions,
  ) {
    this.#fallback = options.fallback ?? sharedFallback;
    this.#random = options.random ?? Math.random;
    const { name } = this.#fallback.transport;
    this.#current = { state: null, connection: "connecting", transport: name, resets: 0, looping: false, ending: null };
  }

  current(): FollowerState {
    return this.#current;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  present(sceneId: string | null): void {
    if (sceneId === this.#sceneId) return;
    this.#sceneId = sceneId;
    if (this.#health.isLive) this.#connection?.present?.(sceneId);
  }

  close(): void {
    this.#drop();
    clearInterval(this.#ticker);
    this.#wakeEvents.stop();
    this.#listeners.clear();
  }

  connect(): void {
    this.#drop();
    const attempt = this.#attempt;
    const { state } = this.#current;
    const { transport } = this.#fallback;
    this.#sequencer = new EventSequencer(state?.revision ?? null);
    this.#set({ transport: transport.name });
    this.#firstEventTimer = setTimeout(() => this.#resync("silent"), FIRST_EVENT_TIMEOUT_MS);
    this.#connection = transport.connect(this.projectId, state && `${state.epoch}.${state.revision}`, {
      onEvent: (event) => {
        if (attempt === this.#attempt) this.#onEvent(event);
      },
      onClosed: (closing) => {
        if (attempt === this.#attempt) this.#onClosed(closing);
      },
    });
  }

  #onClosed(closing: Closing): void {
    if (closing.kind === "restart") return this.#retryLater(() => this.connect(), closing.wait ?? afterRestart(this.#random));
    if (closing.kind === "crowded" && this.#fallback.next()) return this.connect();
    if (closing.kind === "revoked") return this.#retryLater(() => this.#resync());
    // A stream that delivered nothing does not say why it failed; reading the snapshot does.
    if (!this.#health.hasReceived) return this.#retryLater(() => this.#resync("short"));
    if (this.#health.isShortLived) this.#fallback.countShortLived();
    this.#retryLater(() => this.connect());
  }

  #onEvent(event: SyncEvent | null): void {
    this.#health.markReceived();
    clearTimeout(this.#firstEventTimer);
    if (this.#health.isDelivering) this.#fallback.markDelivering();
    if (event === null) return this.#onClosed({ kind: "malformed" });
    switch (event.type) {
      case "project.snapshot":
        return this.#adopt(event.data);
      case "sync.ready":
        return this.#onReady(event.data.cursor);
      case "sync.heartbeat":
        return this.#compareHead(event.data.cursor);
      case "sync.reset":
        this.#sequencer = new EventSequencer(null); // the snapshot comes next
        if (this.#loopGuard.count(Date.now())) this.#slowDown();
        return;
      case "sync.revoked":
        return this.#onClosed({ kind: "revoked" }); // the role changed; reading again shows what is still allowed
      default:
        return this.#sequence(event);
    }
  }

  #onReady(cursor: string): void {
    const wasSilenced = this.#wentSilent && this.#sequencer.hasGrown;
    this.#wentSilent = false;
    if (wasSilenced && this.#fallback.countSilent()) return this.connect();
    this.#health.markLive();
    this.#set({ connection: "live" });
    if (this.#sceneId !== null) this.#connection?.present?.(this.#sceneId);
    this.#compareHead(cursor);
  }

  #sequence(event: DurableEvent | LiveEvent): void {
    const events = this.#sequencer.add(event);
    if (events === null) this.#onGap();
    else if (events.length > 0) this.#applyAll(events);
  }

  /** An event is missing or does not fit: read the log again from the state, and the snapshot if the gap is there, too. */
  #onGap(): void {
    const revision = this.#current.state?.revision ?? null;
    const isRepeated = revision === null || this.#gapAt === revision;
    this.#gapAt = revision;
    this.#retryLater(() => (isRepeated ? this.#resync("gap") : this.connect()));
  }

  #applyAll(events: (DurableEvent | LiveEvent)[]): void {
    const { state } = this.#current;
    if (state === null) return;
    const next = applied(state, events);
    if (next === null) return events.some(isDurable) ? this.#onGap() : undefined;
    this.#health.setBroken(isBroken(next));
    if (next !== state) this.#set({ state: next });
  }

  #adopt(snapshot: Snapshot): void {
    const { state, resets } = this.#current;
    this.#sequencer = new EventSequencer(snapshot.revision);
    this.#gapAt = null;
    this.#health.setBehind(false);
    this.#health.setBroken(false);
    this.#set({ state: fromSnapshot(snapshot), resets: resets + (state === null ? 0 : 1) });
  }

  /** The server names the head of the log from time to time; everything before it should have arrived. */
  #compareHead(text: string, atOnce = false): void {
    const head = readCursor(text);
    const { state } = this.#current;
    if (head === null || state === null) return;
    if (head.epoch !== state.epoch) return this.#retryLater(() => this.#resync());
    const isBehind = head.revision > this.#sequencer.received;
    if (isBehind && atOnce) this.connect();
    else this.#health.setBehind(isBehind);
  }

  #onTick(): void {
    const now = Date.now();
    const wasAsleep = now - this.#tickedAt > ASLEEP_MS;
    this.#tickedAt = now;
    if (this.#connection === null) return;
    if (this.#health.isStable) this.#onStable();
    if (this.#health.isSilent) {
      this.#wentSilent = !wasAsleep; // after a sleep, silence says nothing about the transport
      this.#retryLater(() => this.connect());
    } else if (this.#health.isOverdue) this.#retryLater(() => this.connect());
  }

  #onStable(): void {
    this.#failures = 0;
    this.#fallback.markStable();
    if (this.#current.looping) this.#set({ looping: false });
  }

  /** Read the snapshot: it shows why a connection failed, and replaces the state if the log does not lead on from it. */
  async #resync(cause: ResyncCause = null): Promise<void> {
    this.#drop();
    const attempt = this.#attempt;
    try {
      const snapshot = await this.options.readSnapshot(this.projectId);
      if (attempt !== this.#attempt) return;
      if (cause === "silent") this.#fallback.next();
      if (cause === "short") this.#fallback.countShortLived();
      if (this.#isNeeded(snapshot, cause)) {
        if (this.#current.state !== null && this.#loopGuard.count(Date.now())) return this.#slowDown();
        this.#adopt(snapshot);
      }
      this.connect();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (this.options.isFinal(error)) this.#end(error);
      else this.#retryLater(() => this.#resync(cause === "gap" ? cause : null));
    }
  }

  /** Within an epoch the log leads on; a snapshot must never take the state back to an older revision. */
  #isNeeded({ epoch, revision }: Snapshot, cause: ResyncCause): boolean {
    const { state } = this.#current;
    return state === null || epoch !== state.epoch || (cause === "gap" && revision > state.revision);
  }

  #slowDown(): void {
    this.#failures = FAILURES_AFTER_LOOP;
    this.#set({ looping: true });
    this.#retryLater(() => this.connect());
  }

  /** Run `action` after `wait` ms if the server named a time, else after a wait that grows with each failure. */
  #retryLater(action: () => void, wait?: number): void {
    this.#drop();
    if (wait === undefined) this.#failures += 1;
    this.#set({ connection: this.#current.state === null ? "connecting" : "reconnecting" });
    this.#retryAction = action;
    this.#retryTimer = setTimeout(() => this.#retryNow(), wait ?? backoff(this.#failures, this.#random));
  }

  #retryNow(): void {
    clearTimeout(this.#retryTimer);
    const action = this.#retryAction;
    this.#retryAction = null;
    action?.();
  }

  /** The network or the tab is back: there is no reason to wait any longer, nor to trust a connection that was open. */
  #onWake(): void {
    if (this.#retryAction !== null) return this.#retryNow();
    if (this.#connection === null) return;
    if (this.#health.isSilent) this.connect();
    else void this.#checkHead();
  }

  async #checkHead(): Promise<void> {
    const attempt = this.#attempt;
    const { state } = this.#current;
    const { readHead } = this.options;
    if (readHead === undefined || state === null || !this.#health.isLive) return;
    const head = await readHead(this.projectId, `${state.epoch}.${this.#sequencer.received}`).catch(() => null);
    if (attempt !== this.#attempt) return;
    if (head === null) this.#retryLater(() => this.connect());
    else this.#compareHead(head, true);
  }

  #end(error: unknown): void {
    this.#drop();
    clearInterval(this.#ticker);
    this.#wakeEvents.stop();
    this.#set({ connection: "ended", ending: error });
  }

  #drop(): void {
    this.#attempt += 1;
    this.#connection?.close();
    this.#connection = null;
    this.#health = new ConnectionHealth();
    clearTimeout(this.#firstEventTimer);
    clearTimeout(this.#retryTimer);
    this.#retryAction = null;
  }

  #set(change: Partial<FollowerState>): void {
    this.#current = { ...this.#current, ...change };
    for (const listener of this.#listeners) listener();
  }
}
