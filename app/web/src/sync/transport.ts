// A way to receive a project's stream. SSE is the one there is; a WebSocket or a long poll fits in the same place.
import { EVENT_TYPES, readEvent, type SyncEvent } from "./events";

export interface Sink {
  onOpen(): void;
  onEvent(event: SyncEvent): void;
  /** The connection is over, for whatever reason; nothing comes after it. */
  onClosed(): void;
}

export interface Transport {
  /** Everything after the cursor (all of it, from a snapshot on, when null) goes to the sink until closed. */
  connect(projectId: string, after: string | null, sink: Sink): { close(): void };
}

export const sse: Transport = {
  connect(projectId, after, sink) {
    const query = after === null ? "" : `?after=${encodeURIComponent(after)}`;
    const source = new EventSource(`/api/projects/${encodeURIComponent(projectId)}/events${query}`);
    source.onopen = () => sink.onOpen();
    // EventSource would reconnect by itself, but from the last event it saw, which may lie in the middle of a transaction.
    source.onerror = () => {
      source.close();
      sink.onClosed();
    };
    const receive = ({ data }: MessageEvent<string>) => {
      const event = readEvent(data);
      if (event) sink.onEvent(event);
    };
    for (const type of EVENT_TYPES) source.addEventListener(type, receive);
    return { close: () => source.close() };
  },
};
