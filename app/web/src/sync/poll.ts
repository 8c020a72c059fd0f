// The stream by plain requests, where nothing that stays open gets through.
import type { Snapshot } from "../model";
import { readEvent, type SyncEvent } from "./events";
import { pathOf, refusal, type Closing, type Transport } from "./transport";

const WAIT = 25; // s that an answer with nothing to tell may take
const WAIT_IN_TURN = 2; // s while a turn runs, whose progress ends no waiting
const GRACE = 10_000; // ms beyond the waiting after which an answer is lost

export interface Changes {
  events: SyncEvent[];
  cursor: string;
  reset: boolean;
  runs: SyncEvent[];
}

/** An answer as a stream would have told it; `first`: it is the first one of its connection. */
export function toldBy(projectId: string, changes: Changes, first: boolean): (SyncEvent | null)[] {
  const told = [...changes.events, ...changes.runs].map((event) => readEvent(JSON.stringify(event)));
  const type = first ? ("sync.ready" as const) : ("sync.heartbeat" as const);
  return [...told, { type, projectId, data: { cursor: changes.cursor } }];
}

/** The data of a 200; throws a `Closing` for other answers. */
async function ask<T>(path: string, patience: number, signal: AbortSignal): Promise<T> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
  const response = await fetch(path, { credentials: "same-origin", cache: "no-store", signal: within });
  if (!response.ok) throw refusal(response);
  return ((await response.json()) as { data: T }).data;
}

const changesAfter = (projectId: string, after: string, wait: number, signal: AbortSignal) =>
  ask<Changes>(`${pathOf(projectId, "changes")}?after=${encodeURIComponent(after)}&wait=${wait}`, wait * 1000 + GRACE, signal);

/** How far the log is: a cursor that is beyond `after` if there is anything new. */
export async function readHead(projectId: string, after: string): Promise<string> {
  return (await changesAfter(projectId, after, 0, new AbortController().signal)).cursor;
}

export const poll: Transport = {
  name: "poll",
  connect(projectId, after, sink) {
    const leaving = new AbortController();
    const { signal } = leaving;
    const tell = (events: (SyncEvent | null)[]) => events.forEach((event) => signal.aborted || sink.onEvent(event));

    async function adopt(reason: string | null): Promise<string> {
      const snapshot = await ask<Snapshot>(pathOf(projectId, "snapshot"), GRACE, signal);
      const whole: SyncEvent = { type: "project.snapshot", projectId, data: snapshot };
      tell(reason === null ? [whole] : [{ type: "sync.reset", projectId, data: { reason } }, whole]);
      return snapshot.cursor;
    }

    async function read(): Promise<never> {
      let cursor = after ?? (await adopt(null));
      let wait: number | null = null; // null: the connection, or what follows a reset, begins
      for (;;) {
        const changes = await changesAfter(projectId, cursor, wait ?? 0, signal);
        if (changes.reset) {
          cursor = await adopt("cursor");
          wait = null;
          continue;
        }
        tell(toldBy(projectId, changes, wait === null));
        cursor = changes.cursor;
        wait = changes.runs.length > 0 ? WAIT_IN_TURN : WAIT;
      }
    }

    read().catch((error: unknown) => {
      if (!signal.aborted) sink.onClosed(isClosing(error) ? error : { kind: "lost" });
    });
    return { close: () => leaving.abort() };
  },
};

const isClosing = (error: unknown): error is Closing => typeof error === "object" && error !== null && "kind" in error;
