/** In with ANIMATION from frame `start` on, out again with the end of the scene. */
const useMotion = (start: number) => {
  const frame = useCurrentFrame();
  const { fps, durationInFrames } = useVideoConfig();
  const config = ANIMATION === "bounce" ? { damping: 9, mass: 0.7 } : { damping: 200 };
  const here = spring({ frame: frame * SPEED - start, fps, config });
  const away = interpolate(
    frame,
    [durationInFrames - Math.max(2, fps * 0.4), durationInFrames],
    [0, 1],
    { extrapolateLeft: "clamp", extrapolateRight: "clamp", easing: Easing.in(Easing.cubic) },
  );
  const moves: Record<string, string> = {
    slide: `translateX(${(1 - here) * -120 + away * 80}px)`,
    rise: `translateY(${(1 - here) * 70 - away * 40}px)`,
    bounce: `translateY(${(1 - here) * 140}px) scale(${1 - away * 0.2})`,
    zoom: `scale(${0.4 + here * 0.6 + away * 0.3})`,
    spin: `rotate(${(1 - here) * -180}deg) scale(${0.3 + here * 0.7})`,
  };
  return {
    opacity: Math.min(1, Math.max(0, here * 1.3)) * (1 - away),
    transform: moves[ANIMATION] ?? "none",
  };
};

/** A slowly turning gradient with two soft lights. */
const Backdrop = () => {
  const frame = useCurrentFrame();
  const { width, height } = useVideoConfig();
  const size = Math.max(width, height) * 0.9;
  const drift = Math.sin(frame / 70);
  const light = {
    position: "absolute" as const,
    width: size,
    height: size,
    borderRadius: "50%",
    background: `radial-gradient(circle, ${ACCENT_COLOR} 0%, transparent 65%)`,
  };
  return (
    <AbsoluteFill
      style={{
        background: `linear-gradient(${135 + drift * 12}deg, ${BACKGROUND_FROM}, ${BACKGROUND_TO})`,
        overflow: "hidden",
      }}
    >
      <div style={{ ...light, left: -size * 0.45 + drift * 40, top: -size * 0.5, opacity: GLOW }} />
      <div
        style={{ ...light, right: -size * 0.5, bottom: -size * 0.55 + drift * 50, opacity: GLOW * 0.7 }}
      />
    </AbsoluteFill>
  );
};
