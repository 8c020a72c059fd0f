// The moments at which a page may have missed something: its network, its tab or the page itself is back.

/** Calls back at each of them until stopped; outside of a browser there are none. */
export class WakeEvents {
  constructor(private readonly onWake: () => void) {
    globalThis.addEventListener?.("online", this.#handle);
    globalThis.addEventListener?.("pageshow", this.#handle);
    globalThis.document?.addEventListener("visibilitychange", this.#handle);
  }

  stop(): void {
    globalThis.removeEventListener?.("online", this.#handle);
    globalThis.removeEventListener?.("pageshow", this.#handle);
    globalThis.document?.removeEventListener("visibilitychange", this.#handle);
  }

  #handle = (): void => {
    if (globalThis.document?.visibilityState !== "hidden") this.onWake();
  };
}
