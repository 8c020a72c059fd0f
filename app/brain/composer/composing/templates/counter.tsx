import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const COUNT_FROM = 0;
const COUNT_TO = 1000;
const PREFIX = "";
const SUFFIX = "";
const LABEL = "";
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
  const { fps, width, durationInFrames } = useVideoConfig();
  const done = interpolate(frame, [6, Math.max(7, durationInFrames * 0.65)], [0, 1], {
    extrapolateLeft: "clamp",
    extrapolateRight: "clamp",
    easing: Easing.out(Easing.cubic),
  });
  const value = Math.round(COUNT_FROM + (COUNT_TO - COUNT_FROM) * done);
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "center", alignItems: "center", textAlign: "center", padding: "8%" }}>
        <div
          style={{
            fontSize: FONT_SIZE,
            fontWeight: FONT_WEIGHT,
            lineHeight: 1,
            fontVariantNumeric: "tabular-nums",
            ...useMotion(0),
          }}
        >
          {PREFIX + value.toLocaleString("en-US") + SUFFIX}
        </div>
        <div style={{ marginTop: FONT_SIZE * 0.3, ...useMotion(fps * 0.2) }}>
          <div style={{ width: width * 0.4, height: 10, borderRadius: 99, background: "rgba(128, 128, 128, 0.3)" }}>
            <div style={{ width: `${done * 100}%`, height: 10, borderRadius: 99, background: ACCENT_COLOR }} />
          </div>
        </div>
        {LABEL ? (
          <div style={{ fontSize: FONT_SIZE * 0.3, opacity: 0.85, marginTop: FONT_SIZE * 0.3 }}>
            <Words text={LABEL} start={fps * 0.4} />
          </div>
        ) : null}
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
