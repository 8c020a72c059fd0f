// A damped spring from `from` to `to`, in closed form: the position of a mass released at rest, by frame.

export interface SpringConfig {
  damping: number;
  mass: number;
  stiffness: number;
  overshootClamping: boolean;
}

export interface SpringOptions {
  frame: number;
  fps: number;
  config?: Partial<SpringConfig>;
  from?: number;
  to?: number;
  durationInFrames?: number;
  durationRestThreshold?: number;
  delay?: number;
  reverse?: boolean;
}

const REST_THRESHOLD = 0.005; // share of the way; a spring that stays nearer to its goal is at rest
const MAX_SETTLE_SECONDS = 60; // searched for the moment at which a spring comes to rest
const MAX_CACHED_SPRINGS = 500;

function completeConfig(config: Partial<SpringConfig> = {}): SpringConfig {
  const full = { damping: 10, mass: 1, stiffness: 100, overshootClamping: false, ...config };
  if (!(full.damping > 0) || !(full.mass > 0) || !(full.stiffness > 0)) {
    throw new RangeError("spring needs damping, mass and stiffness above 0");
  }
  return full;
}

/** Return how far the mass is from its goal, 1 at the start; `seconds` count from its release. */
function distance(seconds: number, { damping, mass, stiffness }: SpringConfig): number {
  const natural = Math.sqrt(stiffness / mass); // radians per second
  const ratio = damping / (2 * Math.sqrt(stiffness * mass));
  if (ratio >= 1) {
    // Remotion lets no spring be slower than the critically damped one; `{damping: 200}` is a common way to say
    // "no bounce", and scenes must move here as they will when rendered.
    return Math.exp(-natural * seconds) * (1 + natural * seconds);
  }
  const swing = natural * Math.sqrt(1 - ratio * ratio);
  const fade = Math.exp(-ratio * natural * seconds);
  return fade * (Math.cos(swing * seconds) + ((ratio * natural) / swing) * Math.sin(swing * seconds));
}

/** Return the first frame from which the spring stays within `threshold` of its goal. */
export function measureSpring({
  fps,
  config,
  threshold = REST_THRESHOLD,
}: {
  fps: number;
  config?: Partial<SpringConfig>;
  threshold?: number;
}): number {
  const full = completeConfig(config);
  const key = [fps, threshold, full.damping, full.mass, full.stiffness].join();
  const known = measured.get(key);
  if (known !== undefined) return known;
  let frame = Math.ceil(MAX_SETTLE_SECONDS * fps);
  while (frame > 0 && Math.abs(distance((frame - 1) / fps, full)) < threshold) frame--;
  if (measured.size > MAX_CACHED_SPRINGS) measured.clear();
  measured.set(key, frame);
  return frame;
}

const measured = new Map<string, number>(); // a scene measures the same spring on every frame

export function spring(options: SpringOptions): number {
  const { frame, fps, from = 0, to = 1, durationInFrames, durationRestThreshold, delay = 0, reverse = false } = options;
  if (!(fps > 0)) throw new RangeError("spring needs fps above 0");
  if (durationInFrames !== undefined && !(durationInFrames > 0)) {
    throw new RangeError("spring needs durationInFrames above 0");
  }
  const config = completeConfig(options.config);
  const natural =
    durationInFrames !== undefined || reverse
      ? measureSpring({
          fps,
          config,
          ...(durationRestThreshold === undefined ? {} : { threshold: durationRestThreshold }),
        })
      : 0;
  let at = reverse ? (durationInFrames ?? natural) + delay - frame : frame - delay;
  if (durationInFrames !== undefined) at *= natural / durationInFrames;
  const progress = 1 - distance(Math.max(0, at) / fps, config);
  return from + (config.overshootClamping ? Math.min(1, progress) : progress) * (to - from);
}
