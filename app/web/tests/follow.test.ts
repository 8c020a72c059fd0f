import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Snapshot } from "../src/model";
import type { LiveEvent, StreamEvent, SyncEvent } from "../src/sync/events";
import { readCursor, readEvent } from "../src/sync/events";
import { follow } from "../src/sync/follow";
import type { Follower } from "../src/sync/follower";
import { TransportFallback } from "../src/sync/fallback";
import type { Sink, Transport } from "../src/sync/transport";
import { durable, live, message, PROJECT, run, scene, snapshot } from "./project";

/** A transport whose server side is the test; it records every connection. */
class ScriptedTransport implements Transport {
  readonly name = "sse";
  connections: { after: string | null; sink: Sink; closed: boolean }[] = [];

  connect(_projectId: string, after: string | null, sink: Sink) {
    const connection = { after, sink, closed: false };
    this.connections.push(connection);
    return { close: () => void (connection.closed = true) };
  }

  get latest() {
    const connection = this.connections.at(-1);
    if (connection === undefined) throw new Error("nothing has connected");
    return connection;
  }

  send(...events: SyncEvent[]): void {
    for (const event of events) this.latest.sink.onEvent(event);
  }

  /** Send what a server sends to a client that connects without a cursor. */
  welcome(given: Snapshot): void {
    this.send(own("project.snapshot", given), own("sync.ready", { cursor: given.cursor }));
  }
}

const own = (type: StreamEvent["type"], data: object) => ({ type, projectId: PROJECT, data }) as StreamEvent;
const named = (revision: number, commit: number, name: string) =>
  durable(revision, commit, { type: "scene.updated", data: { scene: scene("a", { name, revision }), changed: ["name"] } });
const gone = new Error("gone");
const lost = { kind: "lost" } as const;

let transport: ScriptedTransport;
let snapshots: (Snapshot | Error)[];
let follower: Follower;

const nameOfA = () => follower.current().state?.scenes.a?.name;
const rest = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  transport = new ScriptedTransport();
  snapshots = [];
  follower = follow(PROJECT, {
    fallback: new TransportFallback([transport]),
    random: () => 1,
    isFinal: (error) => error === gone,
    readSnapshot: async () => {
      const next = snapshots.shift() ?? new Error("no snapshot");
      if (next instanceof Error) throw next;
      return next;
    },
  });
});

afterEach(() => {
  follower.close();
  vi.useRealTimers();
});

test("starts without a cursor and is live once the server is ready", () => {
  expect(follower.current()).toMatchObject({ state: null, connection: "connecting" });
  expect(transport.latest.after).toBeNull();
  transport.welcome(snapshot({ revision: 4, scenes: [scene("a")] }));
  expect(follower.current()).toMatchObject({ state: { revision: 4 }, connection: "live" });
});

test("a transaction is applied at once, when its last event is there", () => {
  transport.welcome(snapshot({ scenes: [scene("a")] }));
  const seen: unknown[] = [];
  follower.subscribe(() => seen.push(follower.current().state?.revision));
  transport.send(named(1, 3, "one"), named(2, 3, "two"));
  expect([nameOfA(), seen]).toEqual(["a", []]);
  transport.send(named(3, 3, "three"));
  expect([nameOfA(), seen]).toEqual(["three", [3]]);
});

test("live text within a transaction is applied with the transaction", () => {
  transport.welcome(snapshot({ runs: [run("running")], messages: [message("m2", 1)] }));
  const delta: LiveEvent = live({ type: "message.delta", data: { messageId: "m2", offset: 0, text: "Hi" } });
  transport.send(named(1, 2, "one"), delta);
  expect(follower.current().state?.runs[0]?.message).toBeNull();
  transport.send(named(2, 2, "two"));
  expect(follower.current().state?.runs[0]?.message?.text.text).toBe("Hi");
});

test("an event that arrives twice is applied once", () => {
  transport.welcome(snapshot({ scenes: [scene("a")] }));
  transport.send(named(1, 1, "one"), named(1, 1, "again"), named(2, 2, "two"), named(1, 1, "old"));
  expect(nameOfA()).toBe("two");
});

test("a missing event is read from the log; if it is missing there, too, the snapshot is read", async () => {
  transport.welcome(snapshot({ scenes: [scene("a")] }));
  snapshots = [snapshot({ revision: 5, scenes: [scene("a", { name: "five" })] })];
  transport.send(named(1, 1, "one"), named(3, 3, "three"));
  expect([nameOfA(), follower.current().connection]).toEqual(["one", "reconnecting"]);
  await rest(500);
  expect(transport.latest.after).toBe("e1.1");
  transport.send(named(3, 3, "three"));
  await rest(1000);
  expect(nameOfA()).toBe("five");
  expect(transport.latest.after).toBe("e1.5");
  transport.send(own("sync.ready", { cursor: "e1.5" }), named(6, 6, "six"));
  expect([nameOfA(), follower.current().connection]).toEqual(["six", "live"]);
});

test("a broken stream continues after the last whole transaction", async () => {
  transport.welcome(snapshot({ scenes: [scene("a")] }));
  transport.send(named(1, 1, "one"), named(2, 3, "half"));
  const first = transport.latest;
  first.sink.onClosed(lost);
  await rest(499);
  expect(transport.connections).toHaveLength(1);
  await rest(1);
  expect(transport.latest.after).toBe("e1.1");
  first.sink.onEvent(named(2, 2, "from an old connection"));
  transport.send(named(2, 3, "half"), named(3, 3, "whole"));
  expect(nameOfA()).toBe("whole");
});

test("the wait grows with each failure, and is short again after a stable connection", async () => {
  transport.welcome(snapshot());
  for (const wait of [500, 1000, 2000]) {
    transport.send(own("sync.ready", { cursor: "e1.0" }));
    transport.latest.sink.onClosed(lost);
    const before = transport.connections.length;
    await rest(wait - 1);
    expect(transport.connections).toHaveLength(before);
    await rest(1);
    expect(transport.connections).toHaveLength(before + 1);
  }
  transport.send(own("sync.ready", { cursor: "e1.0" }));
  await rest(12_000);
  const before = transport.connections.length;
  transport.latest.sink.onClosed(lost);
  await rest(500);
  expect(transport.connections).toHaveLength(before + 1);
});

test("silence for 35 seconds is a dead connection; a heartbeat is not silence", async () => {
  transport.welcome(snapshot());
  await rest(30_000);
  transport.send(own("sync.heartbeat", { cursor: "e1.0" }));
  await rest(30_000);
  expect(transport.latest.closed).toBe(false);
  await rest(6_000);
  expect(transport.connections[0]?.closed).toBe(true);
  await rest(500);
  expect(transport.connections).toHaveLength(2);
});

test("a client that stays behind the head reconnects", async () => {
  transport.welcome(snapshot());
  transport.send(own("sync.heartbeat", { cursor: "e1.1" }));
  transport.send(named(1, 1, "in time"));
  transport.send(own("sync.heartbeat", { cursor: "e1.1" }));
  await rest(4_000);
  expect(transport.connections).toHaveLength(1);
  transport.send(own("sync.heartbeat", { cursor: "e1.2" }));
  await rest(4_000);
  expect(transport.connections).toHaveLength(2);
  expect(transport.latest.after).toBe("e1.1");
});

test("a reset is followed by a snapshot, also of another epoch", () => {
  transport.welcome(snapshot({ revision: 7, scenes: [scene("a")] }));
  transport.send(own("sync.reset", { reason: "epoch" }));
  transport.welcome(snapshot({ epoch: "e2", revision: 1, scenes: [scene("a", { name: "restored" })] }));
  transport.send(named(2, 2, "next"));
  expect([follower.current().state?.epoch, nameOfA()]).toEqual(["e2", "next"]);
});

test("another epoch in a heartbeat leads to a snapshot", async () => {
  transport.welcome(snapshot({ revision: 7 }));
  snapshots = [snapshot({ epoch: "e2", revision: 1 })];
  transport.send(own("sync.heartbeat", { cursor: "e2.1" }));
  await rest(500);
  expect(transport.latest.after).toBe("e2.1");
});

test("a client that may still read after a revocation continues", async () => {
  transport.welcome(snapshot({ revision: 2 }));
  snapshots = [snapshot({ revision: 3 })];
  transport.send(own("sync.revoked", { reason: "role" }));
  await rest(500);
  expect(transport.latest.after).toBe("e1.2");
});

test("a client that may not read any more ends", async () => {
  transport.welcome(snapshot({ revision: 2 }));
  snapshots = [new Error("flaky"), gone];
  transport.send(own("sync.revoked", { reason: "role" }));
  await rest(60_000);
  expect(follower.current()).toMatchObject({ connection: "ended", ending: gone });
  expect(transport.connections).toHaveLength(1);
});

test("the snapshot shows why a stream never opens", async () => {
  snapshots = [gone];
  transport.latest.sink.onClosed(lost);
  await rest(500);
  expect(follower.current()).toMatchObject({ connection: "ended", ending: gone });
});

test("after closing events are ignored and nothing is retried", async () => {
  transport.welcome(snapshot({ scenes: [scene("a")] }));
  follower.close();
  transport.send(named(1, 1, "late"));
  transport.latest.sink.onClosed(lost);
  await rest(120_000);
  expect([nameOfA(), transport.connections.length, transport.latest.closed]).toEqual(["a", 1, true]);
});

test("events and cursors are parsed, and anything else is refused", () => {
  expect(readEvent('{"type":"sync.ready","projectId":"p","data":{"cursor":"e.1"}}')).toMatchObject({ type: "sync.ready" });
  for (const text of ["", "[]", "null", '{"type":1,"data":{}}', '{"type":"a"}']) expect(readEvent(text)).toBeNull();
  expect(readCursor("ab.12")).toEqual({ epoch: "ab", revision: 12 });
  for (const text of ["", "12", "ab.", "ab.x", "a.b.1"]) expect(readCursor(text)).toBeNull();
});
