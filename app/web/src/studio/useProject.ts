// A project's live state inside React.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { readSnapshot } from "../actions";
import { ApiError } from "../api";
import { follow } from "../sync/follow";
import type { Follower, Following } from "../sync/following";
import { readHead } from "../sync/poll";

const FINAL: readonly string[] = ["UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "INVALID_INPUT"];

const IDLE: Following = { state: null, connection: "connecting", transport: "sse", resets: 0, looping: false, ending: null };

const isFinal = (error: unknown) => error instanceof ApiError && FINAL.includes(error.code);

export interface OpenedProject extends Following {
  /** Let the others know which scene is looked at. */
  present: (sceneId: string | null) => void;
}

export function useProject(projectId: string): OpenedProject {
  const [follower, setFollower] = useState<Follower | null>(null);
  useEffect(() => {
    const started = follow(projectId, { readSnapshot, readHead, isFinal });
    setFollower(started);
    return () => started.close();
  }, [projectId]);
  const subscribe = useCallback((listener: () => void) => follower?.subscribe(listener) ?? (() => undefined), [follower]);
  const present = useCallback((sceneId: string | null) => follower?.present(sceneId), [follower]);
  return { ...useSyncExternalStore(subscribe, () => follower?.current() ?? IDLE), present };
}
