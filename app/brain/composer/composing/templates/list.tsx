import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const TITLE = "Today";
const ITEMS: string[] = ["First", "Second", "Third"];
const NUMBERED = false;
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

const Item = ({ text, index, start }: { text: string; index: number; start: number }) => (
  <div style={{ display: "flex", alignItems: "center", marginTop: FONT_SIZE * 0.42, ...useMotion(start) }}>
    <div
      style={{
        flexShrink: 0,
        width: FONT_SIZE * 0.9,
        height: FONT_SIZE * 0.9,
        borderRadius: NUMBERED ? "50%" : FONT_SIZE * 0.24,
        marginRight: FONT_SIZE * 0.42,
        display: "flex",
        alignItems: "center",
        justifyContent: "center",
        fontSize: FONT_SIZE * 0.5,
        fontWeight: 700,
        background: ACCENT_COLOR,
        color: BACKGROUND_FROM,
      }}
    >
      {NUMBERED ? index + 1 : "\u2713"}
    </div>
    <div style={{ fontSize: FONT_SIZE, fontWeight: 500, lineHeight: 1.2 }}>{text}</div>
  </div>
);

export default function Scene() {
  const { durationInFrames } = useVideoConfig();
  const gap = Math.min(14, (durationInFrames * 0.5) / Math.max(1, ITEMS.length));
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "center", padding: "8% 10%" }}>
        {TITLE ? (
          <div style={{ fontSize: FONT_SIZE * 1.5, fontWeight: FONT_WEIGHT, marginBottom: FONT_SIZE * 0.3 }}>
            <Words text={TITLE} start={2} />
          </div>
        ) : null}
        {ITEMS.map((text, index) => (
          <Item key={index} text={text} index={index} start={12 + index * gap} />
        ))}
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
