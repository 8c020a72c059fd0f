// Chooses the transport: the best one until it has proven not to get through, then the next. It never goes back within a
// session.
import { poll } from "./poll";
import { socket } from "./socket";
import { sse } from "./sse";
import type { Transport } from "./transport";

const MAX_SHORT_LIVED = 3; // short-lived connections in a row
const MAX_SILENT = 2; // connections in a row that fell silent although there was something to deliver

export class TransportFallback {
  #index = 0;
  #shortLived = 0;
  #silent = 0;

  constructor(private readonly transports: readonly [Transport, ...Transport[]]) {}

  get transport(): Transport {
    return this.transports[this.#index] ?? this.transports[0];
  }

  /** Count a connection that ended as soon as it began. */
  countShortLived(): void {
    this.#shortLived += 1;
    if (this.#shortLived >= MAX_SHORT_LIVED) this.next();
  }

  /** Count a connection that fell silent while the log grew: something on the way buffers it. True if the transport changed. */
  countSilent(): boolean {
    this.#silent += 1;
    return this.#silent >= MAX_SILENT && this.next();
  }

  /** Change to the next transport; false if there is none. */
  next(): boolean {
    this.#shortLived = 0;
    this.#silent = 0;
    if (this.#index + 1 >= this.transports.length) return false;
    this.#index += 1;
    return true;
  }

  /** A connection has been good for a while. */
  markStable(): void {
    this.#shortLived = 0;
  }

  /** An event arrived when it happened, not only when the connection was made. */
  markDelivering(): void {
    this.#silent = 0;
  }
}

/** The fallback of this page: what was found out about the network with one project holds for the next one. */
export const sharedFallback = new TransportFallback([sse, socket, poll]);
