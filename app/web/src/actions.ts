// What a user can do, each one request to the server.
import { request } from "./api";
import type { Account, Format, Iteration, Message, Project, Run, Scene, Snapshot, WentBack } from "./model";

const at = (path: TemplateStringsArray, ...ids: string[]) => String.raw(path, ...ids.map(encodeURIComponent));

interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

export const readAccount = () => request<Account>("GET", "/api/auth/me");
export const signIn = (email: string, password: string) => request("POST", "/api/auth/login", { email, password });
export const register = (email: string, password: string, name: string) =>
  request("POST", "/api/auth/register", { email, password, name });
export const signOut = () => request("POST", "/api/auth/logout", {});

export const listProjects = (cursor: string | null) =>
  request<Page<Project>>("GET", cursor === null ? "/api/projects" : at`/api/projects?cursor=${cursor}`);
export const createProject = (title: string, format: Format) => request<Project>("POST", "/api/projects", { title, format });
export const readSnapshot = (projectId: string) => request<Snapshot>("GET", at`/api/projects/${projectId}/snapshot`);
export const invite = (projectId: string, role: "viewer" | "editor") =>
  request<{ token: string; url: string }>("POST", at`/api/projects/${projectId}/invites`, { role });
export const acceptInvite = (token: string) => request<{ projectId: string }>("POST", at`/api/invites/${token}/accept`, {});

export interface BegunRun {
  run: Run;
  userMessage: Message;
  assistantMessage: Message;
}

export const beginRun = (projectId: string, prompt: string, selectedSceneId: string | null) =>
  request<BegunRun>("POST", at`/api/projects/${projectId}/runs`, {
    prompt,
    ...(selectedSceneId === null ? {} : { selectedSceneId }),
  });
export const cancelRun = (runId: string) => request<Run>("POST", at`/api/runs/${runId}/cancel`, {});

/** What these messages changed, oldest first; at most 200 of them at once. */
export const readIterations = (projectId: string, messageIds: string[]) =>
  request<Page<Iteration>>("GET", at`/api/projects/${projectId}/iterations?messageIds=${messageIds.join(",")}`);
export const undo = (projectId: string) => request<WentBack>("POST", at`/api/projects/${projectId}/undo`, {});
export const redo = (projectId: string) => request<WentBack>("POST", at`/api/projects/${projectId}/redo`, {});

export const addBlankScene = (projectId: string) => request<Scene>("POST", at`/api/projects/${projectId}/scenes`, {});
export const renameScene = (scene: Scene, name: string) =>
  request<Scene>("PATCH", at`/api/scenes/${scene.id}`, { name, baseRevision: scene.revision });
export const trimScene = (scene: Scene, duration: number) =>
  request<Scene>("POST", at`/api/scenes/${scene.id}/trim`, { duration, baseRevision: scene.revision });
export const deleteScene = (scene: Scene) =>
  request("DELETE", at`/api/scenes/${scene.id}`, undefined, { "If-Match": `"${scene.revision}"` });
export const reorderScenes = (projectId: string, sceneIds: string[]) =>
  request("PUT", at`/api/projects/${projectId}/scene-order`, { sceneIds });
