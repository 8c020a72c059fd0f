// Shows the scene in its sandboxed frame, with the controls of the player.
import { useMemo, useState, type CSSProperties } from "react";
import type { Scene } from "../model";
import type { StopReason } from "./host";
import type { SceneLoad } from "./protocol";
import { usePreviewHost } from "./usePreviewHost";

const STOP_MESSAGES: Record<StopReason, string> = {
  unresponsive: "It did not answer any more; its code may run in an endless loop.",
  flooding: "It sent more messages than a scene should.",
  navigated: "It tried to leave its frame.",
  "never ready": "The preview did not start.",
};

function useSceneLoad(scene: Scene | null, size: { width: number; height: number }, fps: number): SceneLoad | null {
  const { width, height } = size;
  const props = JSON.stringify(scene?.props ?? {}); // compared by content: each event brings a new object
  const code = scene?.tsxCode;
  const durationInFrames = scene?.duration;
  return useMemo(
    () =>
      code === undefined || durationInFrames === undefined
        ? null
        : { code, props: JSON.parse(props) as Record<string, unknown>, fps, width, height, durationInFrames },
    [code, props, fps, width, height, durationInFrames],
  );
}

interface PlayerProps {
  scene: Scene | null;
  size: { width: number; height: number };
  fps: number;
  /** Selects the next scene; null at the last one. */
  onNext: (() => void) | null;
}

export function Player({ scene, size, fps, onNext }: PlayerProps) {
  const [continues, setContinues] = useState(false);
  const load = useSceneLoad(scene, size, fps);
  const preview = usePreviewHost(scene?.id ?? null, load, () => {
    if (!continues || onNext === null) return false;
    onNext();
    return true;
  });
  const { hasFrame, frameRef, generation, stopped, status, error, frame, playing } = preview;
  const last = Math.max(0, (load?.durationInFrames ?? 1) - 1);
  const aspectRatio = { "--ratio": `${size.width} / ${size.height}` } as CSSProperties;
  return (
    <section className="player" aria-label="Player" data-testid="player" data-state={stopped === null ? status : "stopped"}>
      <div className="screen" style={aspectRatio}>
        {load === null && <p className="hint">The scene plays here.</p>}
        {hasFrame && (
          <iframe key={generation} ref={frameRef} title="Preview" src="/preview" sandbox="allow-scripts" referrerPolicy="no-referrer" allow="" />
        )}
        {stopped !== null && (
          <div className="stopped" role="alert">
            <strong>Scene stopped</strong>
            <p>{STOP_MESSAGES[stopped]}</p>
            <button onClick={preview.reload}>Reload</button>
          </div>
        )}
      </div>
      {error !== null && (
        <p role="alert" className="scene-error">
          {error}
        </p>
      )}
      <div className="controls">
        <button className="primary" disabled={!hasFrame} onClick={playing ? preview.pause : preview.play}>
          {playing ? "Pause" : "Play"}
        </button>
        <input
          type="range"
          aria-label="Frame"
          min={0}
          max={last}
          value={Math.min(frame, last)}
          disabled={!hasFrame}
          onChange={(event) => preview.seek(event.target.valueAsNumber)}
        />
        <output aria-label="Frame counter">
          {Math.min(frame, last)} / {last}
        </output>
        <label className="check">
          <input type="checkbox" checked={continues} onChange={(event) => setContinues(event.target.checked)} />
          Go on to the next scene
        </label>
      </div>
    </section>
  );
}
