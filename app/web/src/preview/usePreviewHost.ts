// Connects a PreviewHost to the iframe that React renders, and keeps what the frame reports as state.
import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";
import { PreviewHost, type StopReason } from "./host";
import type { SceneLoad } from "./protocol";

const POSTER_POSITION = 0.4; // share of a scene's duration
// A browser ends the process of a removed frame after a while; a new frame created before that would hang in it, too.
const RESTART_DELAY_MS = 1500;

export interface Preview {
  /** For the iframe: it is rendered while `hasFrame` is true, and replaced when `generation` changes. */
  hasFrame: boolean;
  frameRef: RefObject<HTMLIFrameElement | null>;
  generation: number;
  stopped: StopReason | null;
  status: "loading" | "rendered" | "failed";
  error: string | null;
  frame: number;
  playing: boolean;
  play: () => void;
  pause: () => void;
  seek: (frame: number) => void;
  reload: () => void;
}

/** The frame to show while nothing plays: most scenes are empty at frame 0 and complete by this one. */
const posterFrame = (duration: number) => Math.floor(duration * POSTER_POSITION);

/** Preview a scene. Another `sceneId` shows its poster frame, or plays from 0 if the scene before it was playing; a change
 * of the same scene continues at its frame. `onEnded` returns whether to keep playing. */
export function usePreviewHost(sceneId: string | null, load: SceneLoad | null, onEnded: () => boolean): Preview {
  const frameRef = useRef<HTMLIFrameElement>(null);
  const [host, setHost] = useState<PreviewHost | null>(null);
  const [generation, setGeneration] = useState(0);
  const [stop, setStop] = useState<{ reason: StopReason; code: string | undefined } | null>(null);
  const [isRestarting, setIsRestarting] = useState(false);
  const [status, setStatus] = useState<Preview["status"]>("loading");
  const [error, setError] = useState<string | null>(null);
  const [frame, setFrame] = useState(0);
  const [playing, setPlaying] = useState(false);
  const code = load?.code;
  // Code that had to be stopped is not run again until the user asks for it; changed code is.
  const stopped = stop !== null && stop.code === code ? stop.reason : null;
  const hasFrame = load !== null && stopped === null && !isRestarting;
  const shown = useRef({ sceneId, code, frame, playing, onEnded });
  shown.current = { ...shown.current, code, frame, playing, onEnded };
  const untouched = useRef(true); // neither played nor sought since it was shown

  const reload = useCallback(() => {
    setStop(null);
    setGeneration((before) => before + 1);
  }, []);

  useLayoutEffect(() => {
    if (frameRef.current === null) return;
    const created = new PreviewHost(frameRef.current, {
      onRendered: () => setStatus("rendered"),
      onError: (message) => {
        setStatus("failed");
        setError(message);
        setPlaying(false);
        created.pause();
      },
      onFrame: setFrame,
      onEnded: () => setPlaying(shown.current.onEnded()),
      onStopped: (reason) => {
        setIsRestarting(reason === "unresponsive");
        setStop({ reason, code: shown.current.code });
        setPlaying(false);
      },
    });
    setHost(created);
    return () => created.close();
  }, [generation, hasFrame]);

  useEffect(() => {
    if (!isRestarting) return;
    const timer = setTimeout(() => setIsRestarting(false), RESTART_DELAY_MS);
    return () => clearTimeout(timer);
  }, [isRestarting]);

  useEffect(() => {
    if (host === null || load === null) return;
    const isSame = shown.current.sceneId === sceneId;
    if (!isSame) untouched.current = !shown.current.playing;
    const position = isSame ? Math.min(shown.current.frame, load.durationInFrames - 1) : 0;
    const start = untouched.current ? posterFrame(load.durationInFrames) : position;
    shown.current.sceneId = sceneId;
    setFrame(start);
    setStatus("loading");
    setError(null);
    host.load(load, start);
    if (shown.current.playing) host.play();
  }, [host, sceneId, load]);

  const play = useCallback(() => {
    setPlaying(true);
    if (untouched.current) {
      setFrame(0);
      host?.seek(0);
    }
    untouched.current = false;
    host?.play();
  }, [host]);
  const pause = useCallback(() => {
    setPlaying(false);
    host?.pause();
  }, [host]);
  const seek = useCallback(
    (to: number) => {
      untouched.current = false;
      setFrame(to);
      setStatus((before) => (before === "failed" ? "loading" : before)); // a scene that failed is tried again
      setError(null);
      host?.seek(to);
    },
    [host],
  );
  return { hasFrame, frameRef, generation, stopped, status, error, frame, playing, play, pause, seek, reload };
}
