// The browser client passes the cases of tests/conformance, which every client must pass.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readCursor, readEvent } from "../src/sync/events";
import { eventsOf, type Changes } from "../src/sync/poll";
import { closingOf } from "../src/sync/socket";
import { SseReader } from "../src/sync/sse";
import { refusal } from "../src/sync/transport";
import { cases, hashOf, play, readable, readWire } from "./stage";

describe("cases", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  test.each(cases)("%s", async (_name, given) => {
    const { connects, seen, following } = await play(given);
    const { state, resets, connection, transport, looping } = following;
    if (state === null) throw new Error("no state");
    const known = readable(state);
    const shows = Object.fromEntries(Object.keys(given.expect.shows ?? {}).map((name) => [name, known[name]]));
    const found = { connects, seen, resets, connection, transport, looping, shows, hash: hashOf(state) };
    expect(found).toEqual({ looping: false, shows: {}, ...given.expect });
  });

  test("there are cases", () => {
    expect(cases.length).toBeGreaterThanOrEqual(60);
  });
});

const wire = readWire<{
  sse: { name: string; chunks: string[]; data: string[]; hint: number | null }[];
  frames: { text: string; reads: boolean }[];
  cursors: { text: string; reads: [string, number] | null }[];
  closings: { code: number; kind: string }[];
  refusals: { status: number; retryAfter: string | null; kind: string }[];
  polls: { answer: Changes; first: boolean; told: (string | null)[] }[];
}>();

test.each(wire.sse)("SSE: $name", ({ chunks, data, hint }) => {
  const reader = new SseReader();
  expect(chunks.flatMap((chunk) => reader.feed(chunk))).toEqual(data);
  expect(reader.hint).toBe(hint);
});

test("frames, cursors, and how connections end", () => {
  for (const { text, reads } of wire.frames) expect([text, readEvent(text) !== null]).toEqual([text, reads]);
  for (const { text, reads } of wire.cursors) {
    const cursor = readCursor(text);
    expect([text, cursor && [cursor.epoch, cursor.revision]]).toEqual([text, reads]);
  }
  for (const { code, kind } of wire.closings) expect([code, closingOf(code).kind]).toEqual([code, kind]);
  for (const { status, retryAfter, kind } of wire.refusals) {
    const response = new Response(null, { status, headers: retryAfter === null ? {} : { "Retry-After": retryAfter } });
    expect([status, retryAfter, refusal(response).kind]).toEqual([status, retryAfter, kind]);
  }
});

test("a poll delivers the events that a stream would have delivered", () => {
  for (const { answer, first, told } of wire.polls) {
    const found = eventsOf("p1", answer, first).map((event) => {
      if (event === null) return null;
      return "cursor" in event.data ? `${event.type} ${event.data.cursor}` : event.type;
    });
    expect(found).toEqual(told);
  }
});
