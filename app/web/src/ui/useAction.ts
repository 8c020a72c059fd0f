// Runs an action of the user: `busy` while it runs, `error` when it failed; an expired session leads to the sign-in page.
import { useCallback, useState } from "react";
import { useSession } from "../account/session";
import { ApiError, explain } from "../api";

export interface Action {
  busy: boolean;
  error: string | null;
  /** Run an action and return its result, undefined when it failed. */
  run: <T>(work: () => Promise<T>) => Promise<T | undefined>;
  dismiss: () => void;
}

export function useAction(): Action {
  const { expire } = useSession();
  const [running, setRunning] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const run = useCallback(
    async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      setRunning((count) => count + 1);
      setError(null);
      try {
        return await work();
      } catch (failure) {
        if (failure instanceof ApiError && failure.code === "UNAUTHORIZED" && failure.status === 401) expire();
        setError(explain(failure));
        return undefined;
      } finally {
        setRunning((count) => count - 1);
      }
    },
    [expire],
  );
  const dismiss = useCallback(() => setError(null), []);
  return { busy: running > 0, error, run, dismiss };
}
