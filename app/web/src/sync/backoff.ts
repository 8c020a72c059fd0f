// How long to wait before the next try, and when to stop trying so fast.

const FIRST = 500; // ms, the most after the first failure
const MOST = 20_000; // ms, the most after many
const RESETS_MOST = 5;
const RESETS_WITHIN = 30_000; // ms
const HERD = { least: 1_000, spread: 4_000 }; // ms in which clients come again after a restart

/** Milliseconds to wait after `failures` failures in a row (1 or more): full jitter, so that many do not come back at once. */
export function backoff(failures: number, random: () => number): number {
  return random() * Math.min(MOST, FIRST * 2 ** Math.max(0, failures - 1));
}

/** Milliseconds after which to come again when the server restarts and does not say when. */
export const afterRestart = (random: () => number): number => HERD.least + random() * HERD.spread;

/** Notices when one reset follows the other: then something is wrong that trying at once does not cure. */
export class LoopGuard {
  #resets: number[] = []; // when, ms

  /** Count one; true when there were too many. */
  count(now: number): boolean {
    this.#resets = [...this.#resets.filter((at) => now - at < RESETS_WITHIN), now];
    if (this.#resets.length < RESETS_MOST) return false;
    this.#resets = [];
    return true;
  }
}

/** What to count as failures after a loop: the longest wait. */
export const MANY = 7;
