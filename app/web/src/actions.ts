// The actions of a user; each is one request to the server.
import { request } from "./api";
import type { Account, Format, Iteration, Message, Project, Run, Scene, Snapshot, RevertResult } from "./model";

const pathOf = (path: TemplateStringsArray, ...ids: string[]) => String.raw(path, ...ids.map(encodeURIComponent));

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
  request<Page<Project>>("GET", cursor === null ? "/api/projects" : pathOf`/api/projects?cursor=${cursor}`);
export const createProject = (title: string, format: Format) => request<Project>("POST", "/api/projects", { title, format });
export const readSnapshot = (projectId: string) => request<Snapshot>("GET", pathOf`/api/projects/${projectId}/snapshot`);
export const createInvite = (projectId: string, role: "viewer" | "editor") =>
  request<{ token: string; url: string }>("POST", pathOf`/api/projects/${projectId}/invites`, { role });
export const acceptInvite = (token: string) => request<{ projectId: string }>("POST", pathOf`/api/invites/${token}/accept`, {});

export interface StartedRun {
  run: Run;
  userMessage: Message;
  assistantMessage: Message;
}

export const startRun = (projectId: string, prompt: string, selectedSceneId: string | null) =>
  request<StartedRun>("POST", pathOf`/api/projects/${projectId}/runs`, {
    prompt,
    ...(selectedSceneId === null ? {} : { selectedSceneId }),
  });
export const cancelRun = (runId: string) => request<Run>("POST", pathOf`/api/runs/${runId}/cancel`, {});

/** Read the changes that these messages made, oldest first; at most 200 messages at once. */
export const readIterations = (projectId: string, messageIds: string[]) =>
  request<Page<Iteration>>("GET", pathOf`/api/projects/${projectId}/iterations?messageIds=${messageIds.join(",")}`);
export const undo = (projectId: string) => request<RevertResult>("POST", pathOf`/api/projects/${projectId}/undo`, {});
export const redo = (projectId: string) => request<RevertResult>("POST", pathOf`/api/projects/${projectId}/redo`, {});

export const addBlankScene = (projectId: string) => request<Scene>("POST", pathOf`/api/projects/${projectId}/scenes`, {});
export const renameScene = (scene: Scene, name: string) =>
  request<Scene>("PATCH", pathOf`/api/scenes/${scene.id}`, { name, baseRevision: scene.revision });
export const trimScene = (scene: Scene, duration: number) =>
  request<Scene>("POST", pathOf`/api/scenes/${scene.id}/trim`, { duration, baseRevision: scene.revision });
export const deleteScene = (scene: Scene) =>
  request("DELETE", pathOf`/api/scenes/${scene.id}`, undefined, { "If-Match": `"${scene.revision}"` });
export const reorderScenes = (projectId: string, sceneIds: string[]) =>
  request("PUT", pathOf`/api/projects/${projectId}/scene-order`, { sceneIds });
