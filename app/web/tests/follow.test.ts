import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Snapshot } from "../src/model";
import type { LiveEvent, StreamEvent, SyncEvent } from "../src/sync/events";
import { readCursor, readEvent } from "../src/sync/events";
import { follow } from "../src/sync/follow";
import type { Follower } from "../src/sync/following";
import { Ladder } from "../src/sync/ladder";
import type { Sink, Transport } from "../src/sync/transport";
import { durable, live, message, PROJECT, run, scene, snapshot } from "./project";

/** A transport whose server side the test plays; remembers every connection. */
class Wire implements Transport {
  readonly name = "sse";
  connections: { after: string | null; sink: Sink; closed: boolean }[] = [];

  connect(_projectId: string, after: string | null, sink: Sink) {
    const connection = { after, sink, closed: false };
    this.connections.push(connection);
    return { close: () => void (connection.closed = true) };
  }

  get latest() {
    const connection = this.connections.at(-1);
    if (connection === undefined) throw new Error("nobody connected");
    return connection;
  }

  say(...events: SyncEvent[]): void {
    for (const event of events) this.latest.sink.onEvent(event);
  }

  /** What a server says to one who joins. */
  welcome(given: Snapshot): void {
    this.say(own("project.snapshot", given), own("sync.ready", { cursor: given.cursor }));
  }
}

const own = (type: StreamEvent["type"], data: object) => ({ type, projectId: PROJECT, data }) as StreamEvent;
const named = (revision: number, commit: number, name: string) =>
  durable(revision, commit, { type: "scene.updated", data: { scene: scene("a", { name, revision }), changed: ["name"] } });
const gone = new Error("gone");
const lost = { kind: "lost" } as const;

let wire: Wire;
let snapshots: (Snapshot | Error)[];
let follower: Follower;

const nameOfA = () => follower.current().state?.scenes.a?.name;
const rest = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  wire = new Wire();
  snapshots = [];
  follower = follow(PROJECT, {
    ladder: new Ladder([wire]),
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
  expect(wire.latest.after).toBeNull();
  wire.welcome(snapshot({ revision: 4, scenes: [scene("a")] }));
  expect(follower.current()).toMatchObject({ state: { revision: 4 }, connection: "live" });
});

test("a transaction is applied at once, when its last event is there", () => {
  wire.welcome(snapshot({ scenes: [scene("a")] }));
  const seen: unknown[] = [];
  follower.subscribe(() => seen.push(follower.current().state?.revision));
  wire.say(named(1, 3, "one"), named(2, 3, "two"));
  expect([nameOfA(), seen]).toEqual(["a", []]);
  wire.say(named(3, 3, "three"));
  expect([nameOfA(), seen]).toEqual(["three", [3]]);
});

test("live text within a transaction waits for its turn", () => {
  wire.welcome(snapshot({ runs: [run("running")], messages: [message("m2", 1)] }));
  const delta: LiveEvent = live({ type: "message.delta", data: { messageId: "m2", offset: 0, text: "Hi" } });
  wire.say(named(1, 2, "one"), delta);
  expect(follower.current().state?.runs[0]?.message).toBeNull();
  wire.say(named(2, 2, "two"));
  expect(follower.current().state?.runs[0]?.message?.text.text).toBe("Hi");
});

test("what comes twice counts once", () => {
  wire.welcome(snapshot({ scenes: [scene("a")] }));
  wire.say(named(1, 1, "one"), named(1, 1, "again"), named(2, 2, "two"), named(1, 1, "old"));
  expect(nameOfA()).toBe("two");
});

test("what is missing is asked of the log; if it is missing there, everything is read anew", async () => {
  wire.welcome(snapshot({ scenes: [scene("a")] }));
  snapshots = [snapshot({ revision: 5, scenes: [scene("a", { name: "five" })] })];
  wire.say(named(1, 1, "one"), named(3, 3, "three"));
  expect([nameOfA(), follower.current().connection]).toEqual(["one", "reconnecting"]);
  await rest(500);
  expect(wire.latest.after).toBe("e1.1");
  wire.say(named(3, 3, "three"));
  await rest(1000);
  expect(nameOfA()).toBe("five");
  expect(wire.latest.after).toBe("e1.5");
  wire.say(own("sync.ready", { cursor: "e1.5" }), named(6, 6, "six"));
  expect([nameOfA(), follower.current().connection]).toEqual(["six", "live"]);
});

test("a broken stream goes on after the last whole transaction", async () => {
  wire.welcome(snapshot({ scenes: [scene("a")] }));
  wire.say(named(1, 1, "one"), named(2, 3, "half"));
  const first = wire.latest;
  first.sink.onClosed(lost);
  await rest(499);
  expect(wire.connections).toHaveLength(1);
  await rest(1);
  expect(wire.latest.after).toBe("e1.1");
  first.sink.onEvent(named(2, 2, "from the dead"));
  wire.say(named(2, 3, "half"), named(3, 3, "whole"));
  expect(nameOfA()).toBe("whole");
});

test("waits longer after each failure, and as at first after a good while", async () => {
  wire.welcome(snapshot());
  for (const wait of [500, 1000, 2000]) {
    wire.say(own("sync.ready", { cursor: "e1.0" }));
    wire.latest.sink.onClosed(lost);
    const before = wire.connections.length;
    await rest(wait - 1);
    expect(wire.connections).toHaveLength(before);
    await rest(1);
    expect(wire.connections).toHaveLength(before + 1);
  }
  wire.say(own("sync.ready", { cursor: "e1.0" }));
  await rest(12_000);
  const before = wire.connections.length;
  wire.latest.sink.onClosed(lost);
  await rest(500);
  expect(wire.connections).toHaveLength(before + 1);
});

test("silence for 35 seconds is a dead connection; a heartbeat is not silence", async () => {
  wire.welcome(snapshot());
  await rest(30_000);
  wire.say(own("sync.heartbeat", { cursor: "e1.0" }));
  await rest(30_000);
  expect(wire.latest.closed).toBe(false);
  await rest(6_000);
  expect(wire.connections[0]?.closed).toBe(true);
  await rest(500);
  expect(wire.connections).toHaveLength(2);
});

test("a head that stays ahead is asked for", async () => {
  wire.welcome(snapshot());
  wire.say(own("sync.heartbeat", { cursor: "e1.1" }));
  wire.say(named(1, 1, "in time"));
  wire.say(own("sync.heartbeat", { cursor: "e1.1" }));
  await rest(4_000);
  expect(wire.connections).toHaveLength(1);
  wire.say(own("sync.heartbeat", { cursor: "e1.2" }));
  await rest(4_000);
  expect(wire.connections).toHaveLength(2);
  expect(wire.latest.after).toBe("e1.1");
});

test("a reset is followed by a snapshot, also of another epoch", () => {
  wire.welcome(snapshot({ revision: 7, scenes: [scene("a")] }));
  wire.say(own("sync.reset", { reason: "epoch" }));
  wire.welcome(snapshot({ epoch: "e2", revision: 1, scenes: [scene("a", { name: "restored" })] }));
  wire.say(named(2, 2, "next"));
  expect([follower.current().state?.epoch, nameOfA()]).toEqual(["e2", "next"]);
});

test("another epoch in a heartbeat is noticed", async () => {
  wire.welcome(snapshot({ revision: 7 }));
  snapshots = [snapshot({ epoch: "e2", revision: 1 })];
  wire.say(own("sync.heartbeat", { cursor: "e2.1" }));
  await rest(500);
  expect(wire.latest.after).toBe("e2.1");
});

test("who may still read after a revocation goes on", async () => {
  wire.welcome(snapshot({ revision: 2 }));
  snapshots = [snapshot({ revision: 3 })];
  wire.say(own("sync.revoked", { reason: "role" }));
  await rest(500);
  expect(wire.latest.after).toBe("e1.2");
});

test("who may not read any more is told so and left alone", async () => {
  wire.welcome(snapshot({ revision: 2 }));
  snapshots = [new Error("flaky"), gone];
  wire.say(own("sync.revoked", { reason: "role" }));
  await rest(60_000);
  expect(follower.current()).toMatchObject({ connection: "ended", ending: gone });
  expect(wire.connections).toHaveLength(1);
});

test("a stream that never opens is explained by the snapshot", async () => {
  snapshots = [gone];
  wire.latest.sink.onClosed(lost);
  await rest(500);
  expect(follower.current()).toMatchObject({ connection: "ended", ending: gone });
});

test("after closing nothing is heard and nothing is tried", async () => {
  wire.welcome(snapshot({ scenes: [scene("a")] }));
  follower.close();
  wire.say(named(1, 1, "late"));
  wire.latest.sink.onClosed(lost);
  await rest(120_000);
  expect([nameOfA(), wire.connections.length, wire.latest.closed]).toEqual(["a", 1, true]);
});

test("events and cursors are read from text, and nothing else is", () => {
  expect(readEvent('{"type":"sync.ready","projectId":"p","data":{"cursor":"e.1"}}')).toMatchObject({ type: "sync.ready" });
  for (const text of ["", "[]", "null", '{"type":1,"data":{}}', '{"type":"a"}']) expect(readEvent(text)).toBeNull();
  expect(readCursor("ab.12")).toEqual({ epoch: "ab", revision: 12 });
  for (const text of ["", "12", "ab.", "ab.x", "a.b.1"]) expect(readCursor(text)).toBeNull();
});
