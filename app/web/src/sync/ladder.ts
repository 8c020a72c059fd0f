// Which transport to use: the best one until it was shown not to get through, then the next; never back in this session.
import { poll } from "./poll";
import { socket } from "./socket";
import { sse } from "./sse";
import type { Transport } from "./transport";

const STRIKES = 3; // short-lived connections in a row
const MUTES = 2; // connections in a row that fell silent although there was something to tell

export class Ladder {
  #at = 0;
  #strikes = 0;
  #mutes = 0;

  constructor(private readonly transports: readonly [Transport, ...Transport[]]) {}

  get transport(): Transport {
    return this.transports[this.#at] ?? this.transports[0];
  }

  /** A connection was over as soon as it began. */
  strike(): void {
    this.#strikes += 1;
    if (this.#strikes >= STRIKES) this.next();
  }

  /** A connection fell silent while the log grew: something on the way keeps what it should pass on. True for a next one. */
  mute(): boolean {
    this.#mutes += 1;
    return this.#mutes >= MUTES && this.next();
  }

  /** True when there is one. */
  next(): boolean {
    this.#strikes = 0;
    this.#mutes = 0;
    if (this.#at + 1 >= this.transports.length) return false;
    this.#at += 1;
    return true;
  }

  /** A connection has held for a good while. */
  stable(): void {
    this.#strikes = 0;
  }

  /** Something came when it happened, not only when the connection was made. */
  flows(): void {
    this.#mutes = 0;
  }
}

/** The one of this page: what one project has learned about the network holds for the next one. */
export const session = new Ladder([sse, socket, poll]);
