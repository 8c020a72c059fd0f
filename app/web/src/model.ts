// The resources of Reelroom as the server sends them; the field names are those of the wire format.

export interface Account {
  id: string;
  email: string | null;
  name: string;
}

export type Format = "landscape" | "portrait" | "square";
export type Role = "viewer" | "editor" | "owner";

/** Width and height of a composition in pixels. */
export const SIZES: Record<Format, { width: number; height: number }> = {
  landscape: { width: 1920, height: 1080 },
  portrait: { width: 1080, height: 1920 },
  square: { width: 1080, height: 1080 },
};

export interface Project {
  id: string;
  ownerId: string;
  title: string;
  format: Format;
  fps: number;
  updatedAt?: string;
}

export interface Member {
  userId: string;
  role: Role;
  name?: string;
}

/** `duration` is in frames; `revision` counts this scene's own changes. */
export interface Scene {
  id: string;
  projectId: string;
  position: number | null;
  name: string;
  tsxCode: string;
  duration: number;
  props: Record<string, unknown>;
  revision: number;
}

export interface Message {
  id: string;
  runId: string | null;
  role: "user" | "assistant" | "system";
  kind: "message" | "status" | "error" | "clarification";
  status: "pending" | "success" | "error" | "cancelled";
  content: string;
  sequence: number;
  createdAt?: string;
}

export interface Decision {
  toolName: string | null;
  reasoning: string;
  userFeedback: string;
  targetSceneId?: string | null;
  targetDuration?: number | null;
  editComplexity?: string | null;
  needsClarification: boolean;
  clarificationQuestion?: string | null;
  workflow?: { toolName: string; context: string; targetSceneId?: string | null }[] | null;
}

export type RunStatus = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface Run {
  id: string;
  status: RunStatus;
  assistantMessageId?: string;
  userMessageId?: string;
  decision?: Decision | null;
  error?: { code: string; message: string } | null;
}

/** A change of one scene, or of the scene order when `sceneId` is null. The server sends more fields. */
export interface Iteration {
  id: string;
  sceneId: string | null;
  messageId: string | null;
}

/** What a revert, an undo or a redo changed; `message` is null when nothing had to change. */
export interface RevertResult {
  scenes: Scene[];
  message: Message | null;
}

export interface Snapshot {
  cursor: string;
  epoch: string;
  revision: number;
  project: Project;
  members: Member[];
  scenes: Scene[];
  messages: Message[];
  runs: Run[];
}
