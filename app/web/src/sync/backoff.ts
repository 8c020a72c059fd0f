// How long to wait before the next attempt, and when resets follow each other too fast.

const MAX_FIRST_WAIT_MS = 500; // after the first failure
const MAX_WAIT_MS = 20_000; // after any number of failures
const MAX_RESETS = 5; // within RESET_WINDOW_MS
const RESET_WINDOW_MS = 30_000;
const RESTART_WAIT_MS = { least: 1_000, spread: 4_000 }; // in which clients reconnect after a restart

/** The failures to assume after a loop of resets, so that the wait is the longest. */
export const FAILURES_AFTER_LOOP = 7;

/** Return the wait in ms after `failures` failures in a row (1 or more), with full jitter so that clients do not reconnect
 * at the same time. */
export function backoff(failures: number, random: () => number): number {
  return random() * Math.min(MAX_WAIT_MS, MAX_FIRST_WAIT_MS * 2 ** Math.max(0, failures - 1));
}

/** Return the wait in ms before reconnecting to a server that restarts and names no time. */
export const afterRestart = (random: () => number): number => RESTART_WAIT_MS.least + random() * RESTART_WAIT_MS.spread;

/** Detects resets that follow each other: then something is wrong that an immediate retry does not cure. */
export class LoopGuard {
  #resets: number[] = []; // times in ms

  /** Count a reset; true when there were too many. */
  count(now: number): boolean {
    this.#resets = [...this.#resets.filter((at) => now - at < RESET_WINDOW_MS), now];
    if (this.#resets.length < MAX_RESETS) return false;
    this.#resets = [];
    return true;
  }
}
