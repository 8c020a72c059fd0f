// Renders one frame of a scene, scaled to the window, and catches what the scene throws while it renders.
import { Component, useEffect, useMemo, useState, type ReactNode } from "react";
import { CompositionContext, FrameContext, type VideoConfig } from "../../remotion/timeline";
import type { SceneLoad } from "../protocol";
import type { SceneComponent } from "./compile";

class ErrorBoundary extends Component<{ onError: (error: unknown) => void; children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(error: unknown) {
    this.props.onError(error);
  }

  override render() {
    return this.state.failed ? null : this.props.children;
  }
}

function useWindowSize(): { width: number; height: number } {
  const read = () => ({ width: window.innerWidth, height: window.innerHeight });
  const [size, setSize] = useState(read);
  useEffect(() => {
    const update = () => setSize(read());
    window.addEventListener("resize", update);
    return () => window.removeEventListener("resize", update);
  }, []);
  return size;
}

/** Return the frame of its code at which a scene begins: the second part of a split scene starts where it was cut. */
export function startFrom(props: Record<string, unknown>): number {
  const { startFrom: start } = props;
  return typeof start === "number" && Number.isInteger(start) && start > 0 ? start : 0;
}

export interface StageProps {
  scene: SceneLoad;
  component: SceneComponent;
  frame: number;
  /** Changes with each load, and with each seek after an error so that the scene is tried again. */
  attempt: string;
  onRendered: () => void;
  onError: (error: unknown) => void;
}

export function Stage({ scene, component: Scene, frame, attempt, onRendered, onError }: StageProps) {
  const view = useWindowSize();
  const { width, height, fps, props } = scene;
  const start = startFrom(props);
  const durationInFrames = start + scene.durationInFrames;
  const config = useMemo<VideoConfig>(
    () => ({ id: "scene", width, height, fps, durationInFrames, defaultProps: {}, props }),
    [width, height, fps, durationInFrames, props],
  );
  useEffect(onRendered, [attempt, onRendered]);
  const scale = Math.min(view.width / width, view.height / height);
  return (
    <div
      style={{
        position: "absolute",
        width,
        height,
        display: "flex",
        flexDirection: "column",
        left: (view.width - width * scale) / 2,
        top: (view.height - height * scale) / 2,
        transform: `scale(${scale})`,
        transformOrigin: "0 0",
        overflow: "hidden",
        background: "#000",
      }}
    >
      <ErrorBoundary key={attempt} onError={onError}>
        <CompositionContext.Provider value={config}>
          <FrameContext.Provider value={start + frame}>
            <Scene {...props} />
          </FrameContext.Provider>
        </CompositionContext.Provider>
      </ErrorBoundary>
    </div>
  );
}
