// The code panel: the code that the running turn writes, else that of the selected scene.
import { useEffect, useRef } from "react";
import type { Scene } from "../model";
import { isOver, type RunState } from "../sync/apply";

export function CodePanel({ run, scene }: { run: RunState | null; scene: Scene | null }) {
  const call = run && !isOver(run.run) ? run.calls.at(-1) : undefined;
  const writing = call !== undefined && call.outcome === "running";
  const code = writing ? call.code.text : (scene?.tsxCode ?? "");
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (writing && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [writing, code]);
  useEffect(() => {
    if (!writing && box.current) box.current.scrollTop = 0; // another code is shown from its beginning
  }, [writing, scene?.id]);
  const steps = call?.steps && call.steps > 1 && call.step !== null ? ` (${call.step} of ${call.steps})` : "";
  return (
    <section className="code" aria-label="Code" data-writing={writing}>
      <header>
        <span className="what">{writing ? `Writing: ${call.toolName}${steps}` : (scene?.name ?? "No scene")}</span>
        <span className="hint">{code.length > 0 && `Lines: ${code.split("\n").length}`}</span>
      </header>
      <pre ref={box} tabIndex={0}>
        <code>{code}</code>
        {writing && <span className="caret" aria-hidden="true" />}
      </pre>
      {writing && call.code.broken && <p className="hint">A part was missed; the whole code follows when it is done.</p>}
    </section>
  );
}
