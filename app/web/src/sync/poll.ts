// The stream by plain requests (long polling), for networks that let no open response through.
import type { Snapshot } from "../model";
import { readEvent, type SyncEvent } from "./events";
import { pathOf, refusal, type Closing, type Transport } from "./transport";

const WAIT_SECONDS = 25; // that the server may hold a request while there is nothing new
const WAIT_DURING_RUN_SECONDS = 2; // while a turn runs, because its progress does not end a wait
const GRACE_MS = 10_000; // beyond the wait, after which a response is given up

export interface Changes {
  events: SyncEvent[];
  cursor: string;
  reset: boolean;
  runs: SyncEvent[];
}

/** Return the events that a stream would have delivered for a response; `first` is true for the first one of a connection. */
export function eventsOf(projectId: string, changes: Changes, first: boolean): (SyncEvent | null)[] {
  const events = [...changes.events, ...changes.runs].map((event) => readEvent(JSON.stringify(event)));
  const type = first ? ("sync.ready" as const) : ("sync.heartbeat" as const);
  return [...events, { type, projectId, data: { cursor: changes.cursor } }];
}

/** Return the data of a 200; throws a `Closing` for any other status. */
async function fetchData<T>(path: string, timeoutMs: number, signal: AbortSignal): Promise<T> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const response = await fetch(path, { credentials: "same-origin", cache: "no-store", signal: within });
  if (!response.ok) throw refusal(response);
  return ((await response.json()) as { data: T }).data;
}

const changesAfter = (projectId: string, after: string, waitSeconds: number, signal: AbortSignal) =>
  fetchData<Changes>(
    `${pathOf(projectId, "changes")}?after=${encodeURIComponent(after)}&wait=${waitSeconds}`,
    waitSeconds * 1000 + GRACE_MS,
    signal,
  );

/** Return the head of the log: a cursor that is beyond `after` if there is anything new. */
export async function readHead(projectId: string, after: string): Promise<string> {
  return (await changesAfter(projectId, after, 0, new AbortController().signal)).cursor;
}

export const poll: Transport = {
  name: "poll",
  connect(projectId, after, sink) {
    const closing = new AbortController();
    const { signal } = closing;
    const emit = (events: (SyncEvent | null)[]) => events.forEach((event) => signal.aborted || sink.onEvent(event));

    /** Emit a snapshot, as the start or for a reset with this reason; return its cursor. */
    async function emitSnapshot(reason: string | null): Promise<string> {
      const snapshot = await fetchData<Snapshot>(pathOf(projectId, "snapshot"), GRACE_MS, signal);
      const event: SyncEvent = { type: "project.snapshot", projectId, data: snapshot };
      emit(reason === null ? [event] : [{ type: "sync.reset", projectId, data: { reason } }, event]);
      return snapshot.cursor;
    }

    async function read(): Promise<never> {
      let cursor = after ?? (await emitSnapshot(null));
      let wait: number | null = null; // null for the first request of the connection, and for the first after a reset
      for (;;) {
        const changes = await changesAfter(projectId, cursor, wait ?? 0, signal);
        if (changes.reset) {
          cursor = await emitSnapshot("cursor");
          wait = null;
          continue;
        }
        emit(eventsOf(projectId, changes, wait === null));
        cursor = changes.cursor;
        wait = changes.runs.length > 0 ? WAIT_DURING_RUN_SECONDS : WAIT_SECONDS;
      }
    }

    read().catch((error: unknown) => {
      if (!signal.aborted) sink.onClosed(isClosing(error) ? error : { kind: "lost" });
    });
    return { close: () => closing.abort() };
  },
};

const isClosing = (error: unknown): error is Closing => typeof error === "object" && error !== null && "kind" in error;
