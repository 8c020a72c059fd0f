// The events of a project's stream, and how they are parsed.
import type { Decision, Member, Message, Project, Run, Scene, Snapshot } from "../model";

interface Common {
  projectId: string;
  runId?: string | null;
  actorId?: string | null;
  at?: string;
}

/** `commit` is the revision of the last event of the same transaction. */
interface Stored extends Common {
  revision: number;
  commit: number;
}

type Durable<T extends string, D> = Stored & { type: T; data: D };
type Live<T extends string, D> = Common & { type: T; data: D };

/** `role` is null for a user who is no member any more. */
export type MemberChange = Omit<Member, "role"> & { role: Member["role"] | null };

export type DurableEvent =
  | Durable<"message.created" | "message.updated", { message: Message }>
  | Durable<"run.queued" | "run.started" | "run.retrying" | "run.finished", { run: Run }>
  | Durable<"brain.decision", { decision: Decision; model?: string; milliseconds?: number }>
  | Durable<"tool.started", { callId: string; toolName: string; sceneId?: string | null; step?: number; steps?: number }>
  | Durable<"tool.finished", { callId: string; toolName: string; sceneId?: string | null; success: boolean }>
  | Durable<"scene.updated", { scene: Scene; changed: string[] }>
  | Durable<"scene.created" | "scene.deleted" | "scene.restored", { scene: Scene; changed: string[]; sceneIds: string[] }>
  | Durable<"scenes.reordered", { sceneIds: string[] }>
  | Durable<"iteration.created", { iteration: unknown }>
  | Durable<"project.updated", { project: Project }>
  | Durable<"member.updated", { member: MemberChange }>;

export interface RunSnapshot {
  run: Run;
  decision?: Decision | null;
  calls: { callId: string; toolName: string; step?: number; code: string }[];
  message?: { messageId: string; text: string } | null;
  stage?: string | null;
  percent?: number | null;
}

/** A user who has the project open, and the scene they look at if their client sends it. */
export interface PresentUser {
  userId: string;
  sceneId?: string | null;
  connections: number;
}

export type LiveEvent =
  | Live<"presence.updated", { users: PresentUser[]; more?: number }>
  | Live<"run.progress", { stage: string; percent?: number | null; label?: string | null }>
  | Live<"message.delta", { messageId: string; offset: number; text: string }>
  | Live<"code.delta", { callId: string; offset: number; text: string }>
  | Live<"run.snapshot", RunSnapshot>;

/** Events about the stream itself. */
export type StreamEvent =
  | Live<"project.snapshot", Snapshot>
  | Live<"sync.ready" | "sync.heartbeat", { cursor: string }>
  | Live<"sync.reset" | "sync.revoked", { reason: string }>;

export type SyncEvent = DurableEvent | LiveEvent | StreamEvent;

export function isDurable(event: SyncEvent): event is DurableEvent {
  return "revision" in event && typeof event.revision === "number";
}

/** Return the event in `text`, of any type, or null if it is none. The fields of `data` are trusted. */
export function readEvent(text: string): SyncEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { type, data } = value as { type?: unknown; data?: unknown };
  if (typeof type !== "string" || typeof data !== "object" || data === null) return null;
  const { revision, commit } = value as { revision?: unknown; commit?: unknown };
  if (revision !== undefined && !(Number.isSafeInteger(revision) && Number.isSafeInteger(commit))) return null;
  return value as SyncEvent;
}

export interface Cursor {
  epoch: string;
  revision: number;
}

export function readCursor(text: string): Cursor | null {
  const found = /^([^.]+)\.(\d+)$/.exec(text);
  return found ? { epoch: found[1] as string, revision: Number(found[2]) } : null;
}
