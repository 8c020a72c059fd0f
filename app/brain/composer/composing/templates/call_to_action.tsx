import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const HEADLINE = "Ready?";
const BUTTON = "Start now";
const DETAIL = "";
const BUTTON_TEXT_COLOR = "#ffffff";
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
  const pulse = 1 + 0.035 * Math.sin((frame / fps) * Math.PI * 2);
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "center", alignItems: "center", textAlign: "center", padding: "8%" }}>
        <div style={{ fontSize: FONT_SIZE, fontWeight: FONT_WEIGHT, lineHeight: 1.12 }}>
          <Words text={HEADLINE} start={3} />
        </div>
        <div style={{ marginTop: FONT_SIZE * 0.6, ...useMotion(fps * 0.5) }}>
          <div
            style={{
              fontSize: FONT_SIZE * 0.5,
              fontWeight: 700,
              padding: `${FONT_SIZE * 0.3}px ${FONT_SIZE * 0.8}px`,
              borderRadius: 999,
              background: ACCENT_COLOR,
              color: BUTTON_TEXT_COLOR,
              boxShadow: `0 ${FONT_SIZE * 0.15}px ${FONT_SIZE * 0.6}px rgba(0, 0, 0, 0.35)`,
              transform: `scale(${pulse})`,
            }}
          >
            {BUTTON}
          </div>
        </div>
        {DETAIL ? (
          <div style={{ fontSize: FONT_SIZE * 0.34, opacity: 0.8, marginTop: FONT_SIZE * 0.5 }}>
            <Words text={DETAIL} start={fps * 0.8} />
          </div>
        ) : null}
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
