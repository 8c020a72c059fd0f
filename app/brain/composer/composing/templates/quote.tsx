import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const QUOTE = "Less is more.";
const AUTHOR = "";
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
  const { fps } = useVideoConfig();
  const mark = spring({ frame, fps, config: { damping: 14 } });
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill
        style={{ justifyContent: "center", alignItems: "center", textAlign: "center", padding: "9%" }}
      >
        <div style={useMotion(0)}>
          <div
            style={{
              fontFamily: "Georgia, serif",
              fontSize: FONT_SIZE * 3,
              lineHeight: 0.8,
              height: FONT_SIZE * 1.4,
              color: ACCENT_COLOR,
              transform: `scale(${mark})`,
            }}
          >
            {"\u201c"}
          </div>
        </div>
        <div style={{ fontSize: FONT_SIZE, fontWeight: FONT_WEIGHT, lineHeight: 1.3 }}>
          <Words text={QUOTE} start={8} />
        </div>
        {AUTHOR ? (
          <div
            style={{ fontSize: FONT_SIZE * 0.55, marginTop: FONT_SIZE * 0.8, color: ACCENT_COLOR, ...useMotion(fps) }}
          >
            {"\u2014 " + AUTHOR}
          </div>
        ) : null}
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
