import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const TITLE = "";
const LEFT = "Before";
const RIGHT = "After";
const LEFT_ITEMS: string[] = [""];
const RIGHT_ITEMS: string[] = [""];
const VERSUS = "VS";
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

const Side = ({ name, items, color, start }: { name: string; items: string[]; color: string; start: number }) => (
  <div
    style={{
      flex: 1,
      padding: FONT_SIZE * 0.6,
      margin: FONT_SIZE * 0.25,
      borderRadius: FONT_SIZE * 0.4,
      background: "rgba(128, 128, 128, 0.16)",
      borderTop: `${FONT_SIZE * 0.12}px solid ${color}`,
      textAlign: "center",
      overflowWrap: "anywhere",
      ...useMotion(start),
    }}
  >
    <div style={{ fontSize: FONT_SIZE, fontWeight: FONT_WEIGHT, lineHeight: 1.15 }}>
      <Words text={name} start={start + 4} />
    </div>
    {items.map((item, index) => (
      <div key={index} style={{ fontSize: FONT_SIZE * 0.5, opacity: 0.88, marginTop: FONT_SIZE * 0.35 }}>
        {item}
      </div>
    ))}
  </div>
);

export default function Scene() {
  const frame = useCurrentFrame() * SPEED;
  const { fps, width, height } = useVideoConfig();
  const pop = spring({ frame: frame - fps * 0.8, fps, config: { damping: 10 } });
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "center", padding: "6%" }}>
        {TITLE ? (
          <div style={{ fontSize: FONT_SIZE * 0.9, fontWeight: FONT_WEIGHT, textAlign: "center", marginBottom: FONT_SIZE * 0.4 }}>
            <Words text={TITLE} start={2} />
          </div>
        ) : null}
        <div style={{ display: "flex", flexDirection: height > width ? "column" : "row", alignItems: "stretch" }}>
          <Side name={LEFT} items={LEFT_ITEMS} color={TEXT_COLOR} start={6} />
          <div style={{ alignSelf: "center", ...useMotion(fps * 0.8) }}>
            <div style={{ fontSize: FONT_SIZE * 0.55, fontWeight: 900, color: ACCENT_COLOR, transform: `scale(${pop})` }}>
              {VERSUS}
            </div>
          </div>
          <Side name={RIGHT} items={RIGHT_ITEMS} color={ACCENT_COLOR} start={16} />
        </div>
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
