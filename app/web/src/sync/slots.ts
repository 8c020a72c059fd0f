// Which tabs of a browser may keep a request open: over HTTP/1.1 all of them share six connections, and pages need some, too.

const SLOTS = 3;
const NEVER = new Promise<never>(() => undefined);
let mine: Promise<boolean> | null = null;

/** Whether this page may; it then may until it is gone, however it goes. */
export async function mayKeepOpen(): Promise<boolean> {
  const locks = globalThis.navigator?.locks;
  if (locks === undefined || !isNarrow()) return true;
  mine ??= takeOne(locks);
  if (await mine) return true;
  mine = null; // another time there may be one
  return false;
}

/** Newer versions of HTTP carry many streams on one connection. */
function isNarrow(): boolean {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return navigation?.nextHopProtocol === "http/1.1";
}

async function takeOne(locks: LockManager): Promise<boolean> {
  for (let slot = 1; slot <= SLOTS; slot += 1) {
    if (await isFree(locks, `reelroom stream ${slot}`)) return true;
  }
  return false;
}

/** Take a lock if nobody has it; the browser gives it back when the page is gone. */
const isFree = (locks: LockManager, name: string): Promise<boolean> =>
  new Promise((resolve) => {
    const hold = (lock: Lock | null) => {
      resolve(lock !== null);
      return lock === null ? null : NEVER;
    };
    locks.request(name, { ifAvailable: true }, hold).catch(() => resolve(true)); // no locks here
  });
