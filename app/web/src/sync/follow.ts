// Follows one project: keeps its state equal to the server's log, whatever happens to the connection. Knows no user interface.
// The rules are those of tests/conformance, which the Python client keeps, too.
import type { Snapshot } from "../model";
import { applied, fromSnapshot, isBroken } from "./apply";
import { afterRestart, backoff, LoopGuard, MANY } from "./backoff";
import { isDurable, readCursor, type DurableEvent, type LiveEvent, type SyncEvent } from "./events";
import type { Follower, Following, FollowOptions } from "./following";
import { Intake } from "./intake";
import { session, type Ladder } from "./ladder";
import { Pulse } from "./pulse";
import type { Closing, Connection } from "./transport";
import { Wakes } from "./wakes";

const HELLO_MOST = 4_000; // ms until the first event of a connection
const TICK = 1_000; // ms
const SLEPT = 3_000; // ms between two ticks: the machine or the tab was asleep

export function follow(projectId: string, options: FollowOptions): Follower {
  const following = new Follow(projectId, options);
  following.connect();
  return following;
}

/** Why to read the snapshot: the transport is suspected of not getting through, or the log has a hole. */
type Cause = "short" | "mute" | "hole" | null;

class Follow implements Follower {
  readonly #ladder: Ladder;
  readonly #random: () => number;
  readonly #guard = new LoopGuard();
  readonly #wakes = new Wakes(() => this.#hurry());
  readonly #ticking = setInterval(() => this.#tick(), TICK);
  readonly #listeners = new Set<() => void>();
  #now: Following;
  #sceneId: string | null = null;
  #connection: Connection | null = null;
  #attempt = 0; // what an older connection still says is not heard
  #intake = new Intake(null);
  #failures = 0;
  #pulse = new Pulse();
  #wentSilent = false; // the connection before this one
  #holeAt: number | null = null; // the revision after which the last hole was
  #tickedAt = Date.now();
  #hello: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #again: (() => void) | null = null; // what waits for the retry

  constructor(
    private readonly projectId: string,
    private readonly options: FollowOptions,
  ) {
    this.#ladder = options.ladder ?? session;
    this.#random = options.random ?? Math.random;
    const { name } = this.#ladder.transport;
    this.#now = { state: null, connection: "connecting", transport: name, resets: 0, looping: false, ending: null };
  }

  current(): Following {
    return this.#now;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  present(sceneId: string | null): void {
    if (sceneId === this.#sceneId) return;
    this.#sceneId = sceneId;
    if (this.#pulse.isLive) this.#connection?.present?.(sceneId);
  }

  close(): void {
    this.#drop();
    clearInterval(this.#ticking);
    this.#wakes.stop();
    this.#listeners.clear();
  }

  connect(): void {
    this.#drop();
    const attempt = this.#attempt;
    const { state } = this.#now;
    const { transport } = this.#ladder;
    this.#intake = new Intake(state?.revision ?? null);
    this.#set({ transport: transport.name });
    this.#hello = setTimeout(() => this.#resync("mute"), HELLO_MOST);
    this.#connection = transport.connect(this.projectId, state && `${state.epoch}.${state.revision}`, {
      onEvent: (event) => {
        if (attempt === this.#attempt) this.#hear(event);
      },
      onClosed: (closing) => {
        if (attempt === this.#attempt) this.#lost(closing);
      },
    });
  }

  #lost(closing: Closing): void {
    if (closing.kind === "restart") return this.#later(() => this.connect(), closing.wait ?? afterRestart(this.#random));
    if (closing.kind === "crowded" && this.#ladder.next()) return this.connect();
    if (closing.kind === "revoked") return this.#later(() => this.#resync());
    // A stream that never told anything does not say why; reading the snapshot does.
    if (!this.#pulse.heard) return this.#later(() => this.#resync("short"));
    if (this.#pulse.isShort) this.#ladder.strike();
    this.#later(() => this.connect());
  }

  #hear(event: SyncEvent | null): void {
    this.#pulse.hear();
    clearTimeout(this.#hello);
    if (this.#pulse.isFlowing) this.#ladder.flows();
    if (event === null) return this.#lost({ kind: "malformed" });
    switch (event.type) {
      case "project.snapshot":
        return this.#adopt(event.data);
      case "sync.ready":
        return this.#ready(event.data.cursor);
      case "sync.heartbeat":
        return this.#compareHead(event.data.cursor);
      case "sync.reset":
        this.#intake = new Intake(null); // the snapshot comes next
        if (this.#guard.count(Date.now())) this.#slowDown();
        return;
      case "sync.revoked":
        return this.#lost({ kind: "revoked" }); // the role changed: reading again tells what is left
      default:
        return this.#take(event);
    }
  }

  #ready(cursor: string): void {
    const muted = this.#wentSilent && this.#intake.grew;
    this.#wentSilent = false;
    if (muted && this.#ladder.mute()) return this.connect();
    this.#pulse.live();
    this.#set({ connection: "live" });
    if (this.#sceneId !== null) this.#connection?.present?.(this.#sceneId);
    this.#compareHead(cursor);
  }

  #take(event: DurableEvent | LiveEvent): void {
    const whole = this.#intake.take(event);
    if (whole === null) this.#missed();
    else if (whole.length > 0) this.#applyAll(whole);
  }

  /** A hole, or what does not fit: the log has it right; if it has not, all is read anew. */
  #missed(): void {
    const revision = this.#now.state?.revision ?? null;
    const again = revision === null || this.#holeAt === revision;
    this.#holeAt = revision;
    this.#later(() => (again ? this.#resync("hole") : this.connect()));
  }

  #applyAll(events: (DurableEvent | LiveEvent)[]): void {
    const { state } = this.#now;
    if (state === null) return;
    const next = applied(state, events);
    if (next === null) return events.some(isDurable) ? this.#missed() : undefined;
    this.#pulse.broken(isBroken(next));
    if (next !== state) this.#set({ state: next });
  }

  #adopt(snapshot: Snapshot): void {
    const { state, resets } = this.#now;
    this.#intake = new Intake(snapshot.revision);
    this.#holeAt = null;
    this.#pulse.behind(false);
    this.#pulse.broken(false);
    this.#set({ state: fromSnapshot(snapshot), resets: resets + (state === null ? 0 : 1) });
  }

  /** The server names the head of the log from time to time; what is before it should have come. */
  #compareHead(text: string, atOnce = false): void {
    const head = readCursor(text);
    const { state } = this.#now;
    if (head === null || state === null) return;
    if (head.epoch !== state.epoch) return this.#later(() => this.#resync());
    const behind = head.revision > this.#intake.received;
    if (behind && atOnce) this.connect();
    else this.#pulse.behind(behind);
  }

  #tick(): void {
    const now = Date.now();
    const slept = now - this.#tickedAt > SLEPT;
    this.#tickedAt = now;
    if (this.#connection === null) return;
    if (this.#pulse.isStable) this.#stable();
    if (this.#pulse.isSilent) {
      this.#wentSilent = !slept; // one who slept heard nothing either way
      this.#later(() => this.connect());
    } else if (this.#pulse.isOverdue) this.#later(() => this.connect());
  }

  #stable(): void {
    this.#failures = 0;
    this.#ladder.stable();
    if (this.#now.looping) this.#set({ looping: false });
  }

  /** Ask plainly for what there is: it tells why a connection failed, and is taken where the log does not lead on. */
  async #resync(cause: Cause = null): Promise<void> {
    this.#drop();
    const attempt = this.#attempt;
    try {
      const snapshot = await this.options.readSnapshot(this.projectId);
      if (attempt !== this.#attempt) return;
      if (cause === "mute") this.#ladder.next();
      if (cause === "short") this.#ladder.strike();
      if (this.#isNeeded(snapshot, cause)) {
        if (this.#now.state !== null && this.#guard.count(Date.now())) return this.#slowDown();
        this.#adopt(snapshot);
      }
      this.connect();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (this.options.isFinal(error)) this.#end(error);
      else this.#later(() => this.#resync(cause === "hole" ? cause : null));
    }
  }

  /** Within an epoch the log tells what happened; a snapshot never takes anyone back. */
  #isNeeded({ epoch, revision }: Snapshot, cause: Cause): boolean {
    const { state } = this.#now;
    return state === null || epoch !== state.epoch || (cause === "hole" && revision > state.revision);
  }

  #slowDown(): void {
    this.#failures = MANY;
    this.#set({ looping: true });
    this.#later(() => this.connect());
  }

  /** Try again: after `wait` ms when the server says so, else after longer with each failure. */
  #later(again: () => void, wait?: number): void {
    this.#drop();
    if (wait === undefined) this.#failures += 1;
    this.#set({ connection: this.#now.state === null ? "connecting" : "reconnecting" });
    this.#again = again;
    this.#retry = setTimeout(() => this.#retryNow(), wait ?? backoff(this.#failures, this.#random));
  }

  #retryNow(): void {
    clearTimeout(this.#retry);
    const again = this.#again;
    this.#again = null;
    again?.();
  }

  /** The network or the tab is back: no reason to wait any longer, nor to trust what was open. */
  #hurry(): void {
    if (this.#again !== null) return this.#retryNow();
    if (this.#connection === null) return;
    if (this.#pulse.isSilent) this.connect();
    else void this.#check();
  }

  async #check(): Promise<void> {
    const attempt = this.#attempt;
    const { state } = this.#now;
    const { readHead } = this.options;
    if (readHead === undefined || state === null || !this.#pulse.isLive) return;
    const heard = await readHead(this.projectId, `${state.epoch}.${this.#intake.received}`).catch(() => null);
    if (attempt !== this.#attempt) return;
    if (heard === null) this.#later(() => this.connect());
    else this.#compareHead(heard, true);
  }

  #end(error: unknown): void {
    this.#drop();
    clearInterval(this.#ticking);
    this.#wakes.stop();
    this.#set({ connection: "ended", ending: error });
  }

  #drop(): void {
    this.#attempt += 1;
    this.#connection?.close();
    this.#connection = null;
    this.#pulse = new Pulse();
    clearTimeout(this.#hello);
    clearTimeout(this.#retry);
    this.#again = null;
  }

  #set(change: Partial<Following>): void {
    this.#now = { ...this.#now, ...change };
    for (const listener of this.#listeners) listener();
  }
}
