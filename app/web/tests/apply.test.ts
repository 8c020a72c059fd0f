import { expect, test } from "vitest";
import { apply, fromSnapshot, type ProjectState } from "../src/sync/apply";
import type { DurableEvent, LiveEvent } from "../src/sync/events";
import { durable, live, message, run, scene, snapshot } from "./project";

const decision = { toolName: "addScene", reasoning: "why", userFeedback: "ok", needsClarification: false };

/** A whole turn that adds one scene. */
const TURN: (DurableEvent | LiveEvent)[] = [
  durable(1, 3, { type: "message.created", data: { message: message("m1", 1, { role: "user", status: "success", content: "hi" }) } }),
  durable(2, 3, { type: "message.created", data: { message: message("m2", 2) } }),
  durable(3, 3, { type: "run.queued", data: { run: run("queued") } }),
  durable(4, 4, { type: "run.started", data: { run: run("running") } }),
  live({ type: "run.progress", data: { stage: "deciding", percent: 10, label: "Thinking" } }),
  durable(5, 5, { type: "brain.decision", data: { decision, model: "offline", milliseconds: 3 } }),
  durable(6, 6, { type: "tool.started", data: { callId: "c1", toolName: "addScene", step: 1, steps: 1 } }),
  live({ type: "code.delta", data: { callId: "c1", offset: 0, text: "const a = '🎬" } }),
  live({ type: "code.delta", data: { callId: "c1", offset: 13, text: "';" } }),
  live({ type: "message.delta", data: { messageId: "m2", offset: 0, text: "Made " } }),
  live({ type: "message.delta", data: { messageId: "m2", offset: 5, text: "it." } }),
  durable(7, 11, { type: "scene.created", data: { scene: scene("s1", { tsxCode: "const a = '🎬';" }), changed: [], sceneIds: ["s1"] } }),
  durable(8, 11, { type: "iteration.created", data: { iteration: {} } }),
  durable(9, 11, { type: "tool.finished", data: { callId: "c1", toolName: "addScene", sceneId: "s1", success: true } }),
  durable(10, 11, { type: "message.updated", data: { message: message("m2", 2, { status: "success", content: "Made it." }) } }),
  durable(11, 11, { type: "run.finished", data: { run: run("succeeded") } }),
];

const play = (events: (DurableEvent | LiveEvent)[], from: ProjectState = fromSnapshot(snapshot())) => events.reduce(apply, from);

test("a turn leaves its scene, its messages and what it did", () => {
  const state = play(TURN);
  expect(state.revision).toBe(11);
  expect(state.sceneIds).toEqual(["s1"]);
  expect(state.messages.map(({ id, status, content }) => [id, status, content])).toEqual([["m1", "success", "hi"], ["m2", "success", "Made it."]]);
  const [entry] = state.runs;
  expect(entry).toMatchObject({ decision, model: "offline", stage: "deciding", percent: 10, sceneIds: ["s1"], run: { status: "succeeded" } });
  expect(entry?.calls).toMatchObject([{ callId: "c1", sceneId: "s1", outcome: "success" }]);
});

test("the streamed text equals the stored text, counted in UTF-16 units", () => {
  const [entry] = play(TURN).runs;
  expect(entry?.calls[0]?.code).toEqual({ text: "const a = '🎬';", broken: false });
  expect(entry?.message?.text).toEqual({ text: "Made it.", broken: false });
});

test("the events lead to the state of a snapshot taken at the end", () => {
  const end = fromSnapshot(
    snapshot({
      revision: 11,
      scenes: [scene("s1", { tsxCode: "const a = '🎬';" })],
      messages: [message("m1", 1, { role: "user", status: "success", content: "hi" }), message("m2", 2, { status: "success", content: "Made it." })],
    }),
  );
  expect({ ...play(TURN), runs: [] }).toEqual({ ...end, runs: [] });
});

test("the previous state is not modified", () => {
  const frozen = <T>(value: T): T => {
    if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
    return value;
  };
  TURN.reduce((state, event) => frozen(apply(state, event)), frozen(fromSnapshot(snapshot())));
});

test("a repeated delta is ignored; after a missed one the text does not change", () => {
  const started = play(TURN.slice(0, 8));
  const code = (state: ProjectState) => state.runs[0]?.calls[0]?.code;
  const repeat = live({ type: "code.delta", data: { callId: "c1", offset: 0, text: "const" } });
  expect(apply(started, repeat)).toBe(started);
  const missed = apply(started, live({ type: "code.delta", data: { callId: "c1", offset: 99, text: "x" } }));
  expect(code(missed)).toEqual({ text: "const a = '🎬", broken: true });
  const late = apply(missed, live({ type: "code.delta", data: { callId: "c1", offset: 13, text: "x" } }));
  expect(code(late)).toEqual(code(missed));
  const calls = [{ callId: "c1", toolName: "addScene", step: 1, code: "const a = 1;" }];
  const healed = apply(late, live({ type: "run.snapshot", data: { run: run("running"), calls } }));
  expect(code(healed)).toEqual({ text: "const a = 1;", broken: false });
  expect(code(apply(healed, live({ type: "code.delta", data: { callId: "c1", offset: 12, text: "//" } })))?.text).toBe("const a = 1;//");
});

test("a client that joins late sees the turn as far as it is", () => {
  const joined = apply(
    fromSnapshot(snapshot({ revision: 6, runs: [run("running")] })),
    live({
      type: "run.snapshot",
      data: { run: run("running"), decision, calls: [{ callId: "c1", toolName: "addScene", code: "abc" }], message: { messageId: "m2", text: "Ma" }, stage: "writing", percent: 40 },
    }),
  );
  const [entry] = joined.runs;
  expect(entry).toMatchObject({ decision, stage: "writing", percent: 40, message: { messageId: "m2", text: { text: "Ma" } } });
  expect(entry?.calls).toMatchObject([{ callId: "c1", code: { text: "abc" } }]);
});

test("a run that is retried starts again", () => {
  const state = apply(play(TURN.slice(0, 10)), durable(7, 7, { type: "run.retrying", data: { run: run("running") } }));
  expect(state.runs[0]).toMatchObject({ calls: [], message: null, decision: null });
});

test("scenes are changed, moved, deleted and restored", () => {
  const start = fromSnapshot(snapshot({ scenes: [scene("b", { position: 1 }), scene("a")] }));
  expect(start.sceneIds).toEqual(["a", "b"]);
  const renamed = apply(start, durable(1, 1, { type: "scene.updated", data: { scene: scene("a", { name: "Intro", revision: 2 }), changed: ["name"] } }));
  expect(renamed.scenes.a?.name).toBe("Intro");
  const moved = apply(renamed, durable(2, 2, { type: "scenes.reordered", data: { sceneIds: ["b", "a"] } }));
  expect(moved.sceneIds).toEqual(["b", "a"]);
  const gone = apply(moved, durable(3, 3, { type: "scene.deleted", data: { scene: scene("b"), changed: [], sceneIds: ["a"] } }));
  expect([gone.sceneIds, Object.keys(gone.scenes)]).toEqual([["a"], ["a"]]);
  const back = apply(gone, durable(4, 4, { type: "scene.restored", data: { scene: scene("b"), changed: [], sceneIds: ["b", "a"] } }));
  expect(back.sceneIds).toEqual(["b", "a"]);
});

test("members join, change and leave; an unknown event only advances the revision", () => {
  const member = (role: "viewer" | "owner" | null) => ({ type: "member.updated" as const, data: { member: { userId: "u2", role } } });
  const come = apply(fromSnapshot(snapshot()), durable(1, 1, member("viewer")));
  expect(come.members.u2?.role).toBe("viewer");
  expect(apply(come, durable(2, 2, member(null))).members).toEqual({});
  const unknown = { ...durable(2, 2, member("owner")), type: "story.created" } as unknown as DurableEvent;
  expect(apply(come, unknown)).toEqual({ ...come, revision: 2 });
});
