import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const NAME = "Ada Lovelace";
const ROLE = "Mathematician";
const ALIGN = "flex-start";
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
  const frame = useCurrentFrame();
  const { fps, width, height, durationInFrames } = useVideoConfig();
  const open = spring({ frame: frame * SPEED, fps, config: { damping: 200 } });
  const close = interpolate(frame, [durationInFrames - fps * 0.5, durationInFrames], [0, 1], {
    extrapolateLeft: "clamp",
    extrapolateRight: "clamp",
    easing: Easing.inOut(Easing.cubic),
  });
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <div
        style={{
          position: "absolute",
          left: width * 0.06,
          bottom: height * 0.1,
          maxWidth: width * 0.82,
          display: "flex",
          transform: `translateX(${(1 - open + close) * -width * 0.5}px)`,
          opacity: open * (1 - close),
        }}
      >
        <div style={{ width: FONT_SIZE * 0.14, borderRadius: 99, background: ACCENT_COLOR }} />
        <div
          style={{
            marginLeft: FONT_SIZE * 0.3,
            padding: `${FONT_SIZE * 0.3}px ${FONT_SIZE * 0.6}px`,
            borderRadius: FONT_SIZE * 0.2,
            background: "rgba(0, 0, 0, 0.28)",
          }}
        >
          <div style={{ fontSize: FONT_SIZE, fontWeight: FONT_WEIGHT, lineHeight: 1.15 }}>
            <Words text={NAME} start={fps * 0.3} />
          </div>
          {ROLE ? (
            <div style={{ fontSize: FONT_SIZE * 0.5, opacity: 0.85, marginTop: FONT_SIZE * 0.12 }}>
              <Words text={ROLE} start={fps * 0.6} />
            </div>
          ) : null}
        </div>
      </div>
    </AbsoluteFill>
  );
}
