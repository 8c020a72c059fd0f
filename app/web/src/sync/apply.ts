// The state of one project as a client sees it, and how each event changes it. The functions are pure: they return a new
// state, or the same one if nothing changed.
import type { Decision, Member, Message, Project, Run, Scene, Snapshot } from "../model";
import type { DurableEvent, LiveEvent, MemberChange, RunSnapshot, PresentUser } from "./events";

/** Text that grows by deltas. It is `broken` once a delta was missed, and stays as it is until the whole text arrives. */
export interface LiveText {
  text: string;
  broken: boolean;
}

export interface CallState {
  callId: string;
  toolName: string;
  step: number | null;
  steps: number | null;
  sceneId: string | null;
  code: LiveText;
  outcome: "running" | "success" | "failure";
}

export interface RunState {
  run: Run;
  decision: Decision | null;
  model: string | null;
  milliseconds: number | null;
  calls: CallState[];
  message: { messageId: string; text: LiveText } | null;
  stage: string | null;
  percent: number | null;
  label: string | null;
  /** Scenes that this run created or changed, oldest first. */
  sceneIds: string[];
}

export interface ProjectState {
  epoch: string;
  revision: number;
  project: Project;
  members: Record<string, Member>;
  scenes: Record<string, Scene>;
  sceneIds: string[];
  /** Ordered by their sequence. */
  messages: Message[];
  /** The runs since this client joined, oldest first. */
  runs: RunState[];
  /** The users who have the project open, as last reported, without `hidden` more; none of this is durable. */
  people: PresentUser[];
  hidden: number;
}

const MAX_RUNS = 30; // that are kept; the oldest finished ones are dropped first
const EMPTY: LiveText = { text: "", broken: false };

export const isOver = (run: Run): boolean => !["queued", "running"].includes(run.status);

function newRun(run: Run): RunState {
  const initial = { model: null, milliseconds: null, message: null, stage: null, percent: null, label: null };
  return { run, decision: run.decision ?? null, calls: [], sceneIds: [], ...initial };
}

export function fromSnapshot(snapshot: Snapshot): ProjectState {
  const scenes = [...snapshot.scenes].sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
  return {
    epoch: snapshot.epoch,
    revision: snapshot.revision,
    project: snapshot.project,
    members: Object.fromEntries(snapshot.members.map((member) => [member.userId, member])),
    scenes: Object.fromEntries(scenes.map((scene) => [scene.id, scene])),
    sceneIds: scenes.map((scene) => scene.id),
    messages: [...snapshot.messages].sort((a, b) => a.sequence - b.sequence),
    runs: snapshot.runs.map(newRun),
    people: [],
    hidden: 0,
  };
}

/** Append a delta that begins where the text ends; ignore a repeated one; a gap breaks the text. Offsets are in UTF-16
 * code units, as in JavaScript. */
export function extend(live: LiveText, offset: number, text: string): LiveText {
  if (live.broken || offset < live.text.length) return live;
  if (offset > live.text.length) return { ...live, broken: true };
  return { text: live.text + text, broken: false };
}

function withRun(state: ProjectState, runId: string | null | undefined, change: (run: RunState) => RunState): ProjectState {
  if (!runId) return state;
  let changed = false;
  const runs = state.runs.map((entry) => {
    if (entry.run.id !== runId) return entry;
    const next = change(entry);
    changed ||= next !== entry;
    return next;
  });
  return changed ? { ...state, runs } : state;
}

function putRun(state: ProjectState, run: Run): ProjectState {
  if (state.runs.some((entry) => entry.run.id === run.id)) {
    return withRun(state, run.id, (entry) => ({ ...entry, run, decision: run.decision ?? entry.decision }));
  }
  const runs = [...state.runs, newRun(run)];
  const surplus = runs.length - MAX_RUNS;
  const dropped = new Set(surplus > 0 ? runs.filter((entry) => isOver(entry.run)).slice(0, surplus) : []);
  return { ...state, runs: runs.filter((entry) => !dropped.has(entry)) };
}

/** A run that is retried starts again with nothing. */
function restart(state: ProjectState, run: Run): ProjectState {
  return withRun(putRun(state, run), run.id, () => newRun(run));
}

function putMessage(state: ProjectState, message: Message): ProjectState {
  const others = state.messages.filter((other) => other.id !== message.id);
  const at = others.findIndex((other) => other.sequence > message.sequence);
  return { ...state, messages: others.toSpliced(at < 0 ? others.length : at, 0, message) };
}

function putScene(state: ProjectState, scene: Scene, runId: string | null | undefined): ProjectState {
  const next = { ...state, scenes: { ...state.scenes, [scene.id]: scene } };
  return withRun(next, runId, (run) => ({ ...run, sceneIds: [...run.sceneIds.filter((id) => id !== scene.id), scene.id] }));
}

function dropScene(state: ProjectState, sceneId: string): ProjectState {
  const { [sceneId]: _dropped, ...scenes } = state.scenes;
  return { ...state, scenes };
}

/** Return the run with this call changed by `change`; a new call is added first. */
function withCall(run: RunState, call: { callId: string; toolName: string }, change: (call: CallState) => CallState): RunState {
  const found = run.calls.some((other) => other.callId === call.callId);
  const initial = { step: null, steps: null, sceneId: null, code: EMPTY, outcome: "running" as const };
  const calls = found ? run.calls : [...run.calls, { ...initial, callId: call.callId, toolName: call.toolName }];
  return { ...run, calls: calls.map((other) => (other.callId === call.callId ? change(other) : other)) };
}

function putMember(state: ProjectState, member: MemberChange): ProjectState {
  const { [member.userId]: _before, ...members } = state.members;
  const { role } = member;
  return { ...state, members: role === null ? members : { ...members, [member.userId]: { ...member, role } } };
}

function adoptRun(state: ProjectState, snapshot: RunSnapshot): ProjectState {
  return withRun(putRun(state, snapshot.run), snapshot.run.id, (run) => {
    const decided = { ...run, decision: snapshot.decision ?? run.decision, stage: snapshot.stage ?? null, percent: snapshot.percent ?? null };
    const joined = snapshot.calls.reduce(
      (before, { callId, toolName, step, code }) =>
        withCall(before, { callId, toolName }, (call) => ({ ...call, step: step ?? call.step, code: { text: code, broken: false } })),
      decided,
    );
    if (!snapshot.message) return joined;
    const { messageId, text } = snapshot.message;
    return { ...joined, message: { messageId, text: { text, broken: false } } };
  });
}

/** Whether a live event is for a run that is over; the durable events have the final say about it. */
function isLate(state: ProjectState, event: LiveEvent): boolean {
  const runId = event.type === "run.snapshot" ? event.data.run.id : event.runId;
  return state.runs.some(({ run }) => run.id === runId && isOver(run));
}

/** Whether a delta of a run that is not over was missed. */
export function isBroken({ runs }: ProjectState): boolean {
  return runs.some(({ run, message, calls }) => !isOver(run) && (message?.text.broken || calls.some(({ code }) => code.broken)));
}

function applyLive(state: ProjectState, event: LiveEvent): ProjectState {
  if (isLate(state, event)) return state;
  switch (event.type) {
    case "run.snapshot":
      return adoptRun(state, event.data);
    case "presence.updated":
      return { ...state, people: event.data.users, hidden: event.data.more ?? 0 };
    case "run.progress": {
      const { stage, percent = null, label = null } = event.data;
      return withRun(state, event.runId, (run) => ({ ...run, stage, percent, label }));
    }
    case "message.delta": {
      const { messageId, offset, text } = event.data;
      return withRun(state, event.runId, (run) => {
        const before = run.message?.messageId === messageId ? run.message.text : EMPTY;
        const after = extend(before, offset, text);
        return after === before ? run : { ...run, message: { messageId, text: after } };
      });
    }
    case "code.delta": {
      const { callId, offset, text } = event.data;
      return withRun(state, event.runId, (run) => {
        const before = run.calls.find((call) => call.callId === callId);
        if (before === undefined || extend(before.code, offset, text) === before.code) return run;
        return withCall(run, before, (call) => ({ ...call, code: extend(call.code, offset, text) }));
      });
    }
  }
}

function applyDurable(state: ProjectState, event: DurableEvent): ProjectState {
  switch (event.type) {
    case "message.created":
      return putMessage(state, event.data.message);
    case "message.updated": {
      const { message } = event.data; // a message older than those of the snapshot is not shown
      return state.messages.some(({ id }) => id === message.id) ? putMessage(state, message) : state;
    }
    case "run.retrying":
      return restart(state, event.data.run);
    case "run.queued":
    case "run.started":
    case "run.finished":
      return putRun(state, event.data.run);
    case "brain.decision": {
      const { decision, model = null, milliseconds = null } = event.data;
      return withRun(state, event.runId, (run) => ({ ...run, decision, model, milliseconds }));
    }
    case "tool.started": {
      const { step = null, steps = null, sceneId = null } = event.data;
      return withRun(state, event.runId, (run) => withCall(run, event.data, (call) => ({ ...call, step, steps, sceneId })));
    }
    case "tool.finished": {
      const { success, sceneId } = event.data;
      return withRun(state, event.runId, (run) =>
        withCall(run, event.data, (call) => ({ ...call, outcome: success ? "success" : "failure", sceneId: sceneId ?? call.sceneId })),
      );
    }
    case "scene.updated":
      return putScene(state, event.data.scene, event.runId);
    case "scene.created":
    case "scene.restored":
      return { ...putScene(state, event.data.scene, event.runId), sceneIds: event.data.sceneIds };
    case "scene.deleted":
      return { ...dropScene(state, event.data.scene.id), sceneIds: event.data.sceneIds };
    case "scenes.reordered":
      return { ...state, sceneIds: event.data.sceneIds };
    case "project.updated":
      return { ...state, project: event.data.project };
    case "member.updated":
      return putMember(state, event.data.member);
    default:
      return state; // an event type that this client does not know or does not show
  }
}

/** Return the state after one event. Durable events must come once each and in order; `follow` ensures that. */
export function apply(state: ProjectState, event: DurableEvent | LiveEvent): ProjectState {
  if (!("revision" in event)) return applyLive(state, event) ?? state;
  const next = applyDurable(state, event);
  return { ...next, revision: event.revision };
}

/** Return the state after all events, in one step; null when one of them does not have the expected shape. */
export function applied(state: ProjectState, events: readonly (DurableEvent | LiveEvent)[]): ProjectState | null {
  try {
    return events.reduce(apply, state);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
