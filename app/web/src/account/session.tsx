// Who is signed in in this browser.
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { readAccount, signOut } from "../actions";
import { ApiError, explain } from "../api";
import type { Account } from "../model";

interface Session {
  /** Undefined while it is not known, null when nobody is signed in. */
  account: Account | null | undefined;
  /** Why it is not known, when asking failed. */
  problem: string | null;
  refresh: () => void;
  leave: () => void;
  /** The server says that the session is over. */
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
    readAccount().then(setAccount, (error: unknown) => {
      if (error instanceof ApiError && error.code === "UNAUTHORIZED") setAccount(null);
      else setProblem(explain(error));
    });
  }, []);
  const leave = useCallback(() => {
    signOut().then(expire, (error: unknown) => {
      if (error instanceof ApiError && error.code === "UNAUTHORIZED") expire();
      else setProblem(explain(error));
    });
  }, [expire]);
  useEffect(refresh, [refresh]);
  const session = useMemo(
    () => ({ account, problem, refresh, leave, expire }),
    [account, problem, refresh, leave, expire],
  );
  return <SessionContext value={session}>{children}</SessionContext>;
}
