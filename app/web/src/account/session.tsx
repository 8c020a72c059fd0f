// The session of this browser: the account that is signed in.
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import * as actions from "../actions";
import { ApiError, explain } from "../api";
import type { Account } from "../model";

interface Session {
  /** Undefined while unknown, null when nobody is signed in. */
  account: Account | null | undefined;
  /** Why the account is unknown: the message of the failed request. */
  problem: string | null;
  refresh: () => void;
  signOut: () => void;
  /** Called when the server answers that the session has expired. */
  expire: () => void;
}

const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("useSession needs a SessionProvider");
  return session;
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const [account, setAccount] = useState<Account | null>();
  const [problem, setProblem] = useState<string | null>(null);
  const expire = useCallback(() => setAccount(null), []);
  const refresh = useCallback(() => {
    setProblem(null);
    actions.readAccount().then(setAccount, (error: unknown) => {
      if (error instanceof ApiError && error.code === "UNAUTHORIZED") setAccount(null);
      else setProblem(explain(error));
    });
  }, []);
  const signOut = useCallback(() => {
    actions.signOut().then(expire, (error: unknown) => {
      if (error instanceof ApiError && error.code === "UNAUTHORIZED") expire();
      else setProblem(explain(error));
    });
  }, [expire]);
  useEffect(refresh, [refresh]);
  const session = useMemo(
    () => ({ account, problem, refresh, signOut, expire }),
    [account, problem, refresh, signOut, expire],
  );
  return <SessionContext value={session}>{children}</SessionContext>;
}
