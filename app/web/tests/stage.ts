// Runs a case of tests/conformance against the browser client, with the server, network and clock of the case.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { vi } from "vitest";
import type { Snapshot } from "../src/model";
import { isOver, type ProjectState } from "../src/sync/apply";
import { readEvent, type SyncEvent } from "../src/sync/events";
import { follow } from "../src/sync/follow";
import type { FollowerState } from "../src/sync/follower";
import { TransportFallback } from "../src/sync/fallback";
import type { Closing, Sink, Transport, TransportName } from "../src/sync/transport";
import { PROJECT } from "./project";

const FOLDER = process.env.REELROOM_CONFORMANCE ?? join(import.meta.dirname, "../../../tests/conformance");
const read = <T>(...path: string[]) => JSON.parse(readFileSync(join(FOLDER, ...path), "utf8")) as T;

interface Step {
  at: number;
  send?: string[];
  raw?: string;
  close?: Closing["kind"];
  wait?: number;
}

export interface Case {
  name: string;
  random?: number;
  snapshots?: string[];
  heads?: (string | null)[];
  wakes?: number[];
  sleeps?: [number, number][];
  connections: Step[][];
  until: number;
  expect: { hash: string; shows?: Record<string, unknown> } & Record<string, unknown>;
}

export const cases: [string, Case][] = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".json"))
  .flatMap((file) => read<Case[]>(file).map((one): [string, Case] => [`${file}: ${one.name}`, one]));

const vocabulary = read<{ events: Record<string, SyncEvent>; snapshots: Record<string, Snapshot> }>("shared", "vocabulary.json");

export const readWire = <T>() => read<T>("shared", "wire.json");

/** Return an event by its name in the vocabulary, or an event of the stream itself. */
function eventNamed(text: string): SyncEvent {
  const known = vocabulary.events[text];
  if (known) return known;
  const space = text.indexOf(" ");
  const [kind, value] = [text.slice(0, space), text.slice(space + 1)];
  if (kind === "snapshot") return { type: "project.snapshot", projectId: PROJECT, data: vocabulary.snapshots[value] } as SyncEvent;
  const data = kind === "ready" || kind === "heartbeat" ? { cursor: value } : { reason: value };
  return { type: `sync.${kind}`, projectId: PROJECT, data } as SyncEvent;
}

const gone = new Error("gone");

export interface Played {
  connects: [number, TransportName, string | null][];
  seen: string[];
  following: FollowerState;
}

/** Run a case with fake timers to its end, and return what happened. */
export async function play(given: Case): Promise<Played> {
  const connects: Played["connects"] = [];
  const seen: string[] = [];
  const snapshots = [...(given.snapshots ?? [])];
  const heads = [...(given.heads ?? [])];
  const began = Date.now();
  let slept = 0;

  const perform = (step: Step, sink: Sink) => {
    for (const text of step.send ?? []) sink.onEvent(eventNamed(text));
    if (step.raw !== undefined) sink.onEvent(readEvent(step.raw));
    if (step.close !== undefined) sink.onClosed({ kind: step.close, ...(step.wait === undefined ? {} : { wait: step.wait }) } as Closing);
  };
  const transport = (name: TransportName): Transport => ({
    name,
    connect(_projectId, after, sink) {
      const steps = given.connections[connects.length];
      if (steps === undefined) throw new Error("the case has no further connection");
      connects.push([Date.now() - slept - began, name, after]);
      for (const step of steps) {
        if (step.at > 0) setTimeout(() => perform(step, sink), step.at);
        else void Promise.resolve().then(() => perform(step, sink)); // a fake timer of 0 ms may run 1 ms later
      }
      return { close: () => undefined };
    },
  });
  const page = new EventTarget();
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
  for (const at of given.wakes ?? []) setTimeout(() => page.dispatchEvent(new Event("pageshow")), at);
  for (const [at, by] of given.sleeps ?? []) {
    setTimeout(() => {
      slept += by;
      vi.setSystemTime(Date.now() + by);
    }, at);
  }
  const follower = follow(PROJECT, {
    fallback: new TransportFallback([transport("sse"), transport("socket"), transport("poll")]),
    random: () => given.random ?? 1,
    isFinal: (error) => error === gone,
    readHead: async () => {
      const head = heads.shift();
      if (typeof head !== "string") throw new Error("no answer");
      return head;
    },
    readSnapshot: async () => {
      const found = snapshots.shift() ?? "busy";
      if (found === "gone") throw gone;
      const snapshot = vocabulary.snapshots[found];
      if (snapshot === undefined) throw new Error("busy");
      return snapshot;
    },
  });
  follower.subscribe(() => {
    const { state } = follower.current();
    const cursor = state && `${state.epoch}.${state.revision}`;
    if (cursor !== null && cursor !== seen.at(-1)) seen.push(cursor);
  });
  await vi.advanceTimersByTimeAsync(given.until);
  const following = follower.current();
  follower.close();
  return { connects, seen, following };
}

/** Return the whole state in the form in which the states of both clients are compared. */
function comparable(state: ProjectState): unknown {
  const { epoch, revision, project, messages } = state;
  return {
    epoch,
    revision,
    project,
    members: Object.values(state.members).sort((a, b) => (a.userId < b.userId ? -1 : 1)),
    scenes: state.sceneIds.map((id, position) => ({ ...state.scenes[id], position })),
    messages,
    runs: state.runs.map(({ run, decision, stage, percent, message, calls }) => ({
      id: run.id,
      status: run.status,
      over: isOver(run),
      decision,
      stage,
      percent,
      message: message && { messageId: message.messageId, ...message.text },
      calls: calls.map(({ callId, toolName, step, outcome, code }) => ({ callId, toolName, step, outcome, ...code })),
    })),
  };
}

/** Return the parts of a state that `shows` of a case can name. */
export function readable(state: ProjectState): Record<string, unknown> {
  return {
    scenes: state.sceneIds.map((id) => state.scenes[id]?.name),
    texts: Object.fromEntries(state.runs.flatMap(({ message }) => (message ? [[message.messageId, message.text.text]] : []))),
    code: Object.fromEntries(state.runs.flatMap(({ calls }) => calls.map((call) => [call.callId, call.code.text]))),
    people: state.people.map(({ userId, sceneId = null }) => [userId, sceneId]),
    hidden: state.hidden,
  };
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, canonical(inner)]));
}

export const hashOf = (state: ProjectState): string => createHash("sha256").update(JSON.stringify(canonical(comparable(state)))).digest("hex");
