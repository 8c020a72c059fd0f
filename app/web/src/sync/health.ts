// The state of one connection: when it last received something, and whether something that is due is missing.

const MAX_SILENCE_MS = 35_000; // 2.5 heartbeats of the server
const SHORT_LIVED_MS = 1_000; // a connection that ends sooner is suspicious
const DELIVERING_AFTER_MS = 1_000; // after `sync.ready`: what arrives later was not only flushed at the start
const MAX_OVERDUE_MS = 2_000; // for which the log's head may be ahead of what arrived, or text may be incomplete
const STABLE_AFTER_MS = 10_000; // of a good connection before its failures are forgotten

export class ConnectionHealth {
  /** Whether anything at all has arrived. */
  hasReceived = false;
  readonly #connectedAt = Date.now();
  #receivedAt = Date.now();
  #liveSince: number | null = null;
  #behindSince: number | null = null;
  #brokenSince: number | null = null;

  markReceived(): void {
    this.hasReceived = true;
    this.#receivedAt = Date.now();
  }

  markLive(): void {
    this.#liveSince = Date.now();
  }

  /** Whether the head of the log is ahead of what has arrived. */
  setBehind(is: boolean): void {
    this.#behindSince = is ? (this.#behindSince ?? Date.now()) : null;
  }

  /** Whether a delta of live text was missed. */
  setBroken(is: boolean): void {
    this.#brokenSince = is ? (this.#brokenSince ?? Date.now()) : null;
  }

  get isLive(): boolean {
    return this.#liveSince !== null;
  }

  get isShortLived(): boolean {
    return Date.now() - this.#connectedAt < SHORT_LIVED_MS;
  }

  get isSilent(): boolean {
    return Date.now() - this.#receivedAt > MAX_SILENCE_MS;
  }

  /** Whether an event that arrives now was delivered when it happened. */
  get isDelivering(): boolean {
    return isLonger(this.#liveSince, DELIVERING_AFTER_MS);
  }

  get isStable(): boolean {
    return isLonger(this.#liveSince, STABLE_AFTER_MS);
  }

  /** Whether something that should have arrived has not. */
  get isOverdue(): boolean {
    return isLonger(this.#behindSince, MAX_OVERDUE_MS) || isLonger(this.#brokenSince, MAX_OVERDUE_MS);
  }
}

const isLonger = (since: number | null, than: number): boolean => since !== null && Date.now() - since > than;
