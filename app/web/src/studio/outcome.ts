// The label of an assistant message: what the turn led to.
import type { Message } from "../model";
import type { Changes } from "./useChanges";

const STATUS_LABELS: Record<Message["status"], string> = {
  pending: "Working",
  success: "Done",
  error: "Failed",
  cancelled: "Cancelled",
};

export interface Outcome {
  label: string;
  tone: Message["status"] | "neutral";
}

/** An answer is "Done" if it changed something, or if its changes are not known yet. */
export function outcome(message: Message, changes: Changes): Outcome {
  const { id, kind, status } = message;
  if (status === "success" && kind === "clarification") return { label: "Question", tone: "neutral" };
  if (status === "success" && changes[id]?.length === 0) return { label: "No change", tone: "neutral" };
  return { label: STATUS_LABELS[status], tone: status };
}
