// Limits how many tabs of a browser keep a request open: over HTTP/1.1 all of them share six connections, and the pages
// need some of these, too.

const SLOTS = 3; // tabs that may keep a request open
const NEVER = new Promise<never>(() => undefined);
let slot: Promise<boolean> | null = null;

/** Whether this page may keep a request open; if so, it holds its slot until it is gone, however it ends. */
export async function mayKeepOpen(): Promise<boolean> {
  const locks = globalThis.navigator?.locks;
  if (locks === undefined || !usesHttp1()) return true;
  slot ??= takeSlot(locks);
  if (await slot) return true;
  slot = null; // a later attempt may find one
  return false;
}

/** Newer versions of HTTP carry many streams on one connection. */
function usesHttp1(): boolean {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return navigation?.nextHopProtocol === "http/1.1";
}

async function takeSlot(locks: LockManager): Promise<boolean> {
  for (let number = 1; number <= SLOTS; number += 1) {
    if (await takeLock(locks, `reelroom stream ${number}`)) return true;
  }
  return false;
}

/** Take a lock if nobody holds it; the browser releases it when the page is gone. */
const takeLock = (locks: LockManager, name: string): Promise<boolean> =>
  new Promise((resolve) => {
    const hold = (lock: Lock | null) => {
      resolve(lock !== null);
      return lock === null ? null : NEVER;
    };
    locks.request(name, { ifAvailable: true }, hold).catch(() => resolve(true)); // locks are not allowed here
  });
