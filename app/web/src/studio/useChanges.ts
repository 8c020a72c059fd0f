// Reads what each assistant message changed, in one request for all that are shown: events report it only to clients that
// were connected at the time.
import { useEffect, useState } from "react";
import { readIterations } from "../actions";
import { ApiError } from "../api";
import type { Message } from "../model";

const MAX_MESSAGES_PER_REQUEST = 200;

/** The scenes that each message changed, by message id; null stands for the scene order. A missing message is not known
 * yet. */
export type Changes = Readonly<Record<string, (string | null)[]>>;

export function useChanges(projectId: string, messages: Message[]): Changes {
  const [known, setKnown] = useState<Changes>({});
  const missing = messages
    .filter(({ id, role, status }) => role === "assistant" && status !== "pending" && !(id in known))
    .slice(-MAX_MESSAGES_PER_REQUEST)
    .map(({ id }) => id)
    .join(",");

  useEffect(() => {
    if (missing === "") return;
    let current = true;
    const ids = missing.split(",");
    const read = async () => {
      try {
        const { items } = await readIterations(projectId, ids);
        if (!current) return;
        const found = items.flatMap(({ messageId, sceneId }) => (messageId === null ? [] : [[messageId, sceneId] as const]));
        const of = (id: string) => [...new Set(found.filter(([messageId]) => messageId === id).map(([, sceneId]) => sceneId))];
        setKnown((before) => ({ ...before, ...Object.fromEntries(ids.map((id) => [id, of(id)])) }));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error; // after an ApiError they stay unknown, and the next answer requests them again
      }
    };
    void read();
    return () => {
      current = false;
    };
  }, [projectId, missing]);
  return known;
}
