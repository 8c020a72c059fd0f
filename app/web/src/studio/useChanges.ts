// What each answer changed, asked for in one batch for all that are shown: the events tell it only to those who were there.
import { useEffect, useState } from "react";
import { readIterations } from "../actions";
import { ApiError } from "../api";
import type { Message } from "../model";

const BATCH_MOST = 200; // messages in one question

/** By message: the scenes that it changed, null among them for their order. A message that is not here is not known yet. */
export type Changes = Readonly<Record<string, (string | null)[]>>;

export function useChanges(projectId: string, messages: Message[]): Changes {
  const [known, setKnown] = useState<Changes>({});
  const wanted = messages
    .filter(({ id, role, status }) => role === "assistant" && status !== "pending" && !(id in known))
    .slice(-BATCH_MOST)
    .map(({ id }) => id)
    .join(",");

  useEffect(() => {
    if (wanted === "") return;
    let current = true;
    const ids = wanted.split(",");
    const read = async () => {
      try {
        const { items } = await readIterations(projectId, ids);
        if (!current) return;
        const found = items.flatMap(({ messageId, sceneId }) => (messageId === null ? [] : [[messageId, sceneId] as const]));
        const of = (id: string) => [...new Set(found.filter(([messageId]) => messageId === id).map(([, sceneId]) => sceneId))];
        setKnown((before) => ({ ...before, ...Object.fromEntries(ids.map((id) => [id, of(id)])) }));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error; // else they stay unknown, and are asked for with the next answer
      }
    };
    void read();
    return () => {
      current = false;
    };
  }, [projectId, wanted]);
  return known;
}
