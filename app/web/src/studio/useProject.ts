// The live state of a project as a React hook.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { readSnapshot } from "../actions";
import { ApiError } from "../api";
import { follow } from "../sync/follow";
import type { Follower, FollowerState } from "../sync/follower";
import { readHead } from "../sync/poll";

const FINAL_CODES: readonly string[] = ["UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "INVALID_INPUT"];

const INITIAL: FollowerState = { state: null, connection: "connecting", transport: "sse", resets: 0, looping: false, ending: null };

const isFinal = (error: unknown) => error instanceof ApiError && FINAL_CODES.includes(error.code);

export interface OpenedProject extends FollowerState {
  /** Show the other users which scene this one looks at. */
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
  return { ...useSyncExternalStore(subscribe, () => follower?.current() ?? INITIAL), present };
}
