import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const TITLE = "Hello";
const SUBTITLE = "";
const NEON: boolean = false;
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
  const { fps, width } = useVideoConfig();
  const line = spring({ frame: frame - fps * 0.4, fps, config: { damping: 200 } });
  const reach = FONT_SIZE * (0.9 + 0.1 * Math.sin(frame / 9));
  const light = [0.05, 0.2, 0.5].map((share) => `0 0 ${reach * share}px ${ACCENT_COLOR}`).join(", ");
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill
        style={{ justifyContent: "center", alignItems: "center", textAlign: "center", padding: "8%" }}
      >
        <div
          style={{
            fontSize: FONT_SIZE,
            fontWeight: FONT_WEIGHT,
            lineHeight: 1.1,
            letterSpacing: "-0.02em",
            textShadow: NEON ? light : "none",
          }}
        >
          <Words text={TITLE} start={4} />
        </div>
        <div style={useMotion(fps * 0.3)}>
          <div
            style={{
              width: line * width * 0.16,
              height: Math.max(4, FONT_SIZE * 0.06),
              margin: `${FONT_SIZE * 0.3}px auto`,
              borderRadius: 99,
              background: ACCENT_COLOR,
            }}
          />
        </div>
        {SUBTITLE ? (
          <div style={{ fontSize: FONT_SIZE * 0.36, fontWeight: 400, opacity: 0.85, lineHeight: 1.35 }}>
            <Words text={SUBTITLE} start={fps * 0.6} />
          </div>
        ) : null}
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
