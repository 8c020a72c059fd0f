import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const BRAND = "Reel";
const MARK = "R";
const TAGLINE = "";
const ALIGN = "center";
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
// @words

export default function Scene() {
  const frame = useCurrentFrame() * SPEED;
  const { fps, width, height } = useVideoConfig();
  const size = Math.min(width, height) * 0.3;
  const drawn = spring({ frame: frame - 4, fps, config: { damping: 200 }, durationInFrames: Math.round(fps * 1.2) });
  const pop = spring({ frame: frame - fps * 0.5, fps, config: { damping: 11 } });
  const around = 2 * Math.PI * 46;
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "center", alignItems: "center", textAlign: "center", padding: "8%" }}>
        <div style={{ position: "relative", width: size, height: size, ...useMotion(0) }}>
          <svg viewBox="0 0 100 100" width={size} height={size} style={{ transform: `rotate(${frame * 0.6 - 90}deg)` }}>
            <circle
              cx={50}
              cy={50}
              r={46}
              fill="none"
              stroke={ACCENT_COLOR}
              strokeWidth={4}
              strokeLinecap="round"
              strokeDasharray={around}
              strokeDashoffset={around * (1 - drawn * 0.86)}
            />
          </svg>
          <AbsoluteFill
            style={{
              justifyContent: "center",
              alignItems: "center",
              fontSize: size * 0.46,
              fontWeight: 900,
              transform: `scale(${pop})`,
            }}
          >
            {MARK}
          </AbsoluteFill>
        </div>
        <div style={{ fontSize: FONT_SIZE, fontWeight: FONT_WEIGHT, marginTop: FONT_SIZE * 0.45, lineHeight: 1.1 }}>
          <Words text={BRAND} start={fps * 0.7} />
        </div>
        {TAGLINE ? (
          <div style={{ fontSize: FONT_SIZE * 0.38, opacity: 0.85, marginTop: FONT_SIZE * 0.25 }}>
            <Words text={TAGLINE} start={fps * 1.1} />
          </div>
        ) : null}
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
