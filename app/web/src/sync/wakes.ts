// The moments when a page may have missed something: its tab, its network or itself is back.

/** Calls back at each until stopped; outside of a browser there are none. */
export class Wakes {
  constructor(private readonly wake: () => void) {
    globalThis.addEventListener?.("online", this.#hear);
    globalThis.addEventListener?.("pageshow", this.#hear);
    globalThis.document?.addEventListener("visibilitychange", this.#hear);
  }

  stop(): void {
    globalThis.removeEventListener?.("online", this.#hear);
    globalThis.removeEventListener?.("pageshow", this.#hear);
    globalThis.document?.removeEventListener("visibilitychange", this.#hear);
  }

  #hear = (): void => {
    if (globalThis.document?.visibilityState !== "hidden") this.wake();
  };
}
