// A small project and its events, for the tests of the sync client.
import type { Message, Run, Scene, Snapshot } from "../src/model";
import type { DurableEvent, LiveEvent } from "../src/sync/events";

export const PROJECT = "p1";

export const scene = (id: string, change: Partial<Scene> = {}): Scene => ({
  id, projectId: PROJECT, position: 0, name: id, tsxCode: "", duration: 150, props: {}, revision: 1, ...change,
});

export const message = (id: string, sequence: number, change: Partial<Message> = {}): Message => ({
  id, runId: "r1", role: "assistant", kind: "message", status: "pending", content: "", sequence, ...change,
});

export const run = (status: Run["status"], change: Partial<Run> = {}): Run => ({ id: "r1", status, assistantMessageId: "m2", ...change });

export const snapshot = (change: Partial<Snapshot> = {}): Snapshot => {
  const { epoch = "e1", revision = 0 } = change;
  const project = { id: PROJECT, ownerId: "u1", title: "Film", format: "landscape" as const, fps: 30 };
  return { cursor: `${epoch}.${revision}`, epoch, revision, project, members: [], scenes: [], messages: [], runs: [], ...change };
};

type Body<E> = E extends { type: infer T; data: infer D } ? { type: T; data: D } : never;

export const durable = (revision: number, commit: number, body: Body<DurableEvent>): DurableEvent =>
  ({ projectId: PROJECT, runId: "r1", revision, commit, ...body }) as DurableEvent;

export const live = (body: Body<LiveEvent>): LiveEvent => ({ projectId: PROJECT, runId: "r1", ...body }) as LiveEvent;
