// How one connection does: what it has said when, and what follows from that.

const SILENCE_MOST = 35_000; // ms without a word: 2.5 of the server's heartbeats
const SHORT = 1_000; // ms: a connection that lived no longer is suspicious
const FLOWING = 1_000; // ms after its begin: what comes then was not only flushed
const BEHIND_MOST = 2_000; // ms that the log's head may be ahead of what arrived, or that text may be broken
const STABLE_AFTER = 10_000; // ms of a good connection before its failures are forgotten

export class Pulse {
  heard = false; // anything at all
  readonly #connectedAt = Date.now();
  #heardAt = Date.now();
  #liveSince: number | null = null;
  #behindSince: number | null = null;
  #brokenSince: number | null = null;

  hear(): void {
    this.heard = true;
    this.#heardAt = Date.now();
  }

  live(): void {
    this.#liveSince = Date.now();
  }

  behind(is: boolean): void {
    this.#behindSince = is ? (this.#behindSince ?? Date.now()) : null;
  }

  broken(is: boolean): void {
    this.#brokenSince = is ? (this.#brokenSince ?? Date.now()) : null;
  }

  get isLive(): boolean {
    return this.#liveSince !== null;
  }

  get isShort(): boolean {
    return Date.now() - this.#connectedAt < SHORT;
  }

  get isSilent(): boolean {
    return Date.now() - this.#heardAt > SILENCE_MOST;
  }

  get isFlowing(): boolean {
    return longer(this.#liveSince, FLOWING);
  }

  get isStable(): boolean {
    return longer(this.#liveSince, STABLE_AFTER);
  }

  /** Something that should have come did not. */
  get isOverdue(): boolean {
    return longer(this.#behindSince, BEHIND_MOST) || longer(this.#brokenSince, BEHIND_MOST);
  }
}

const longer = (since: number | null, than: number): boolean => since !== null && Date.now() - since > than;
