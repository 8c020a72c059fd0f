// Orders the events of one connection: each once, in the order of their revisions, and those of a transaction together.
import { isDurable, type DurableEvent, type LiveEvent } from "./events";

type Event = DurableEvent | LiveEvent;

export class EventSequencer {
  /** The last revision that was received, whether released or held. */
  received: number;
  readonly #start: number;
  #held: Event[] = []; // part of a transaction, and live events that arrived meanwhile

  /** `revision` is that of the state, null before there is one. */
  constructor(private readonly revision: number | null) {
    this.received = this.#start = revision ?? 0;
  }

  /** Whether any new durable event has arrived. */
  get hasGrown(): boolean {
    return this.received > this.#start;
  }

  /** Return the events to apply now, in one step; null when an event is missing. */
  add(event: Event): Event[] | null {
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
