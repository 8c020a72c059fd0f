// What the chip of an answer says.
import type { Message } from "../model";
import type { Changes } from "./useChanges";

const STATUS: Record<Message["status"], string> = {
  pending: "Working",
  success: "Done",
  error: "Failed",
  cancelled: "Cancelled",
};

/** "Done" is what changed something, or may have: of an answer that has just come it is not known yet. */
export function outcome(message: Message, changes: Changes): string {
  if (message.status !== "success") return STATUS[message.status];
  if (message.kind === "clarification") return "Question";
  return changes[message.id]?.length === 0 ? "No change" : STATUS.success;
}
