// How long to wait before the next try: full jitter, so that many clients do not come back at once.

const FIRST = 500; // ms, the most after the first failure
const MOST = 20_000; // ms, the most after many

/** Milliseconds to wait after `failures` failures in a row (1 or more). */
export function backoff(failures: number, random: () => number = Math.random): number {
  return random() * Math.min(MOST, FIRST * 2 ** Math.max(0, failures - 1));
}
