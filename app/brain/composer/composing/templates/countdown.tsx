import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const COUNT_FROM = 5;
const END_TEXT = "Go!";
const TEXT_COLOR = "#ffffff";
const ACCENT_COLOR = "#7c5cff";
const BACKGROUND_FROM = "#0b1020";
const BACKGROUND_TO = "#241650";
const GLOW = 0.35;
const FONT_FAMILY = "Inter, Helvetica, Arial, sans-serif";
const FONT_WEIGHT = 800;
const FONT_SIZE = 120;
const ANIMATION: string = "rise";
const SPEED = 1;

// @stage

export default function Scene() {
  const frame = useCurrentFrame();
  const { fps, durationInFrames, width, height } = useVideoConfig();
  const size = Math.min(width, height) * 0.62;
  const beat = Math.max(1, durationInFrames / (COUNT_FROM + (END_TEXT ? 1 : 0)) / SPEED);
  const step = Math.floor(frame / beat);
  const within = (frame % beat) / beat;
  const over = step >= COUNT_FROM;
  const shown = over ? END_TEXT : String(COUNT_FROM - step);
  const pop = spring({
    frame: over ? frame - COUNT_FROM * beat : frame % beat,
    fps,
    config: { damping: ANIMATION === "bounce" ? 8 : 14 },
  });
  const around = 2 * Math.PI * 46;
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "center", alignItems: "center", ...useMotion(0) }}>
        <svg viewBox="0 0 100 100" width={size} height={size} style={{ transform: "rotate(-90deg)" }}>
          <circle cx={50} cy={50} r={46} fill="none" stroke={TEXT_COLOR} strokeOpacity={0.15} strokeWidth={3} />
          <circle
            cx={50}
            cy={50}
            r={46}
            fill="none"
            stroke={ACCENT_COLOR}
            strokeWidth={3}
            strokeLinecap="round"
            strokeDasharray={around}
            strokeDashoffset={over ? 0 : around * within}
          />
        </svg>
      </AbsoluteFill>
      <AbsoluteFill style={{ justifyContent: "center", alignItems: "center", ...useMotion(0) }}>
        <div
          style={{
            fontSize: over ? FONT_SIZE * 0.5 : FONT_SIZE,
            fontWeight: FONT_WEIGHT,
            maxWidth: size * 0.9,
            textAlign: "center",
            transform: `scale(${0.6 + pop * 0.4})`,
          }}
        >
          {shown}
        </div>
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
