"""The code of a scene that is added without any."""

BLANK = """\
import { AbsoluteFill, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

export default function Scene() {
  const frame = useCurrentFrame();
  const { fps, durationInFrames } = useVideoConfig();
  const rise = spring({ frame, fps, config: { damping: 200 } });
  const fade = interpolate(frame, [durationInFrames - 15, durationInFrames], [1, 0], {
    extrapolateLeft: "clamp",
    extrapolateRight: "clamp",
  });
  const drift = interpolate(frame, [0, durationInFrames], [0, 40]);

  return (
    <AbsoluteFill
      style={{
        background: `linear-gradient(${120 + drift}deg, #101828, #344e86 60%, #7f9cf5)`,
        alignItems: "center",
        justifyContent: "center",
      }}
    >
      <div
        style={{
          opacity: rise * fade,
          transform: `translateY(${(1 - rise) * 60}px)`,
          color: "white",
          fontFamily: "Inter, system-ui, sans-serif",
          fontSize: 96,
          fontWeight: 600,
          letterSpacing: -2,
        }}
      >
        New scene
      </div>
    </AbsoluteFill>
  );
}
"""
