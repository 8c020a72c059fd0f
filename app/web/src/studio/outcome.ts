// What the chip of an answer says.
import type { Message } from "../model";
import type { Changes } from "./useChanges";

const STATUS: Record<Message["status"], string> = {
  pending: "Working",
  success: "Done",
  error: "Failed",
  cancelled: "Cancelled",
};

export interface Outcome {
  label: string;
  tone: Message["status"] | "neutral";
}

/** "Done" is what changed something, or may have: of an answer that has just come it is not known yet. */
export function outcome(message: Message, changes: Changes): Outcome {
  const { id, kind, status } = message;
  if (status === "success" && kind === "clarification") return { label: "Question", tone: "neutral" };
  if (status === "success" && changes[id]?.length === 0) return { label: "No change", tone: "neutral" };
  return { label: STATUS[status], tone: status };
}
