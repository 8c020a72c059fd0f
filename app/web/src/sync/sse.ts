// Server-Sent Events, read with fetch: EventSource hides statuses, retry hints and events of types without a listener.
import { readEvent } from "./events";
import { mayKeepOpen } from "./slots";
import { pathOf, refusal, type Closing, type Transport } from "./transport";

/** Splits a stream of text into blocks; `feed` returns the data of those that are complete. */
export class SseReader {
  /** The last `retry:` in ms after the first event; one before it is only the default. */
  hint: number | null = null;
  #rest = "";
  #hasEvents = false;

  feed(text: string): string[] {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    return blocks.map((block) => this.#read(block)).filter((data) => data !== null);
  }

  #read(block: string): string | null {
    const data: string[] = [];
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      const [field, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
      if (field === "data") data.push(value);
      if (field === "retry" && this.#hasEvents && /^\d+$/.test(value)) this.hint = Number(value);
    }
    if (data.length === 0) return null;
    this.#hasEvents = true;
    return data.join("\n");
  }
}

export const sse: Transport = {
  name: "sse",
  connect(projectId, after, sink) {
    const closing = new AbortController();
    const query = after === null ? "" : `?after=${encodeURIComponent(after)}`;

    async function read(): Promise<Closing> {
      if (!(await mayKeepOpen())) return { kind: "crowded" };
      const response = await fetch(pathOf(projectId, "events") + query, {
        headers: { Accept: "text/event-stream" },
        credentials: "same-origin",
        cache: "no-store",
        signal: closing.signal,
      });
      if (!response.ok || response.body === null) return refusal(response);
      const reader = new SseReader();
      const decoder = new TextDecoder();
      const chunks = response.body.getReader();
      for (let next = await chunks.read(); !next.done; next = await chunks.read()) {
        for (const data of reader.feed(decoder.decode(next.value, { stream: true }))) {
          if (!closing.signal.aborted) sink.onEvent(readEvent(data));
        }
      }
      return reader.hint === null ? { kind: "lost" } : { kind: "restart", wait: reader.hint };
    }

    const onClosed = (reason: Closing) => {
      if (!closing.signal.aborted) sink.onClosed(reason);
    };
    read().then(onClosed, () => onClosed({ kind: "lost" }));
    return { close: () => closing.abort() };
  },
};
