// A project's live state inside React.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { readSnapshot } from "../actions";
import { ApiError } from "../api";
import { follow, type Follower, type Following } from "../sync/follow";

const IDLE: Following = { state: null, connection: "connecting", ending: null };
const FINAL: readonly string[] = ["UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "INVALID_INPUT"];

const isFinal = (error: unknown) => error instanceof ApiError && FINAL.includes(error.code);

export function useProject(projectId: string): Following {
  const [follower, setFollower] = useState<Follower | null>(null);
  useEffect(() => {
    const started = follow(projectId, { readSnapshot, isFinal });
    setFollower(started);
    return () => started.close();
  }, [projectId]);
  const subscribe = useCallback((listener: () => void) => follower?.subscribe(listener) ?? (() => undefined), [follower]);
  return useSyncExternalStore(subscribe, () => follower?.current() ?? IDLE);
}
