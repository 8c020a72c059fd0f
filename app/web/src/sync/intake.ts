// Puts the events of one connection together: each once, in order, and those of a transaction at once.
import { isDurable, type DurableEvent, type LiveEvent } from "./events";

type Event = DurableEvent | LiveEvent;

export class Intake {
  /** The last revision in hand, given out or held. */
  received: number;
  readonly #from: number;
  #held: Event[] = []; // part of a transaction, and what happened meanwhile

  /** `revision`: that of the state; null before there is one. */
  constructor(private readonly revision: number | null) {
    this.received = this.#from = revision ?? 0;
  }

  /** Whether anything came that was not known before. */
  get grew(): boolean {
    return this.received > this.#from;
  }

  /** What may be applied now, in one step; null when something is missing. */
  take(event: Event): Event[] | null {
    if (!isDurable(event)) {
      if (this.#held.length === 0) return [event];
      this.#held.push(event);
      return [];
    }
    if (this.revision === null) return null;
    if (event.revision <= this.received) return [];
    if (event.revision !== this.received + 1) return null;
    this.received = event.revision;
    this.#held.push(event);
    return event.revision < event.commit ? [] : this.#held.splice(0);
  }
}
