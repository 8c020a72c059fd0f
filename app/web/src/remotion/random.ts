// Deterministic random numbers: the same seed always gives the same number.

/** Return a number from 0 to 1 (exclusive) that depends on the seed only; the seed `null` gives a random one. */
export function random(seed: string | number | null): number {
  if (seed === null) return Math.random();
  if (typeof seed !== "string" && typeof seed !== "number") throw new TypeError("random needs a string, number or null");
  let hash = 0x811c9dc5; // FNV-1a over UTF-16 units
  for (const unit of Array.from(`${typeof seed}:${seed}`, (character) => character.codePointAt(0) ?? 0)) {
    hash = Math.imul(hash ^ unit, 0x01000193);
  }
  // Two rounds of multiply and shift spread neighbouring seeds over the whole range.
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
