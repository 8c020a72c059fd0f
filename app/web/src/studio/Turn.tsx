// One turn of the chat: its progress, the decision and its reasoning, and the button that cancels it.
import { cancelRun } from "../actions";
import type { Decision, RunStatus } from "../model";
import { isOver, type RunState } from "../sync/apply";
import { useAction } from "../ui/useAction";
import type { Outcome } from "./outcome";

const STATUS_LABELS: Record<RunStatus, string> = {
  queued: "Waiting for its turn",
  running: "Running",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

function headline(decision: Decision): string {
  if (decision.needsClarification) return "Asks back";
  if (decision.workflow && decision.workflow.length > 0) return decision.workflow.map((step) => step.toolName).join(" → ");
  return decision.toolName ?? "Answers";
}

function DecisionCard({ entry, decision }: { entry: RunState; decision: Decision }) {
  const figures = [entry.model, entry.milliseconds !== null && `${entry.milliseconds} ms`, decision.editComplexity].filter(Boolean);
  return (
    <section className="decision" aria-label="Decision">
      <header>
        <strong>{headline(decision)}</strong>
        <span className="hint">{figures.join(" · ")}</span>
      </header>
      <p>{decision.clarificationQuestion ?? decision.userFeedback}</p>
      <details>
        <summary>Reasoning</summary>
        <p>{decision.reasoning}</p>
      </details>
    </section>
  );
}

interface TurnProps {
  entry: RunState;
  /** The outcome of a turn that has succeeded, else null. */
  outcome: Outcome | null;
  waiting: number;
  canEdit: boolean;
}

export function Turn({ entry, outcome, waiting, canEdit }: TurnProps) {
  const { busy, error, run } = useAction();
  const { status } = entry.run;
  const over = isOver(entry.run);
  const ended = status === "succeeded" ? outcome : null;
  const others = waiting - (status === "queued" ? 1 : 0);
  return (
    <div className="turn" data-run-id={entry.run.id} data-status={status}>
      <div className="row">
        <span className={`chip chip-${ended?.tone ?? `run-${status}`}`} role="status" aria-label="Turn">
          {(!over && (entry.label ?? entry.stage)) || (ended?.label ?? STATUS_LABELS[status])}
        </span>
        {others > 0 && <span className="hint">{others} more waiting</span>}
        <span className="spacer" />
        {!over && canEdit && (
          <button disabled={busy} onClick={() => run(() => cancelRun(entry.run.id))}>
            Cancel
          </button>
        )}
      </div>
      {!over && <progress aria-label="Progress" max={100} {...(entry.percent === null ? {} : { value: entry.percent })} />}
      {entry.run.error && <p role="alert">{entry.run.error.message}</p>}
      {error !== null && <p role="alert">{error}</p>}
      {entry.decision && <DecisionCard entry={entry} decision={entry.decision} />}
    </div>
  );
}
