// Ties a PreviewHost to the iframe that React draws, and keeps what the frame reports as state.
import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";
import { PreviewHost, type Stopped } from "./host";
import type { SceneLoad } from "./protocol";

const TELLING = 0.4; // of a scene's duration
// A browser ends the process of a removed frame after a moment; a new frame made before that would hang in it too.
const REST_AFTER_HANG = 1500; // ms

export interface Preview {
  /** For the iframe, drawn while `hasFrame` holds, and anew when `generation` changes. */
  hasFrame: boolean;
  frameRef: RefObject<HTMLIFrameElement | null>;
  generation: number;
  stopped: Stopped | null;
  status: "loading" | "rendered" | "failed";
  error: string | null;
  frame: number;
  playing: boolean;
  play: () => void;
  pause: () => void;
  seek: (frame: number) => void;
  reload: () => void;
}

/** The frame to stand at while nobody plays: most scenes are empty at 0, and by this one they have come in. */
const telling = (duration: number) => Math.floor(duration * TELLING);

/** `sceneId` names what is shown: a new scene rests at a telling frame, or plays from 0 when the one before was played
 * into it; a change of the same one goes on where it was. */
export function usePreviewHost(sceneId: string | null, load: SceneLoad | null, onEnded: () => boolean): Preview {
  const frameRef = useRef<HTMLIFrameElement>(null);
  const [host, setHost] = useState<PreviewHost | null>(null);
  const [generation, setGeneration] = useState(0);
  const [halt, setHalt] = useState<{ why: Stopped; code: string | undefined } | null>(null);
  const [resting, setResting] = useState(false);
  const [status, setStatus] = useState<Preview["status"]>("loading");
  const [error, setError] = useState<string | null>(null);
  const [frame, setFrame] = useState(0);
  const [playing, setPlaying] = useState(false);
  const code = load?.code;
  // Code that had to be stopped is not run again by itself; other code is.
  const stopped = halt !== null && halt.code === code ? halt.why : null;
  const hasFrame = load !== null && stopped === null && !resting;
  const shown = useRef({ sceneId, code, frame, playing, onEnded });
  shown.current = { ...shown.current, code, frame, playing, onEnded };
  const untouched = useRef(true); // neither played nor sought since it is shown

  const reload = useCallback(() => {
    setHalt(null);
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
      onStopped: (why) => {
        setResting(why === "unresponsive");
        setHalt({ why, code: shown.current.code });
        setPlaying(false);
      },
    });
    setHost(created);
    return () => created.close();
  }, [generation, hasFrame]);

  useEffect(() => {
    if (!resting) return;
    const rested = setTimeout(() => setResting(false), REST_AFTER_HANG);
    return () => clearTimeout(rested);
  }, [resting]);

  useEffect(() => {
    if (host === null || load === null) return;
    const same = shown.current.sceneId === sceneId;
    if (!same) untouched.current = !shown.current.playing;
    const stood = same ? Math.min(shown.current.frame, load.durationInFrames - 1) : 0;
    const start = untouched.current ? telling(load.durationInFrames) : stood;
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
      setStatus((before) => (before === "failed" ? "loading" : before)); // a broken scene gets another chance
      setError(null);
      host?.seek(to);
    },
    [host],
  );
  return { hasFrame, frameRef, generation, stopped, status, error, frame, playing, play, pause, seek, reload };
}
