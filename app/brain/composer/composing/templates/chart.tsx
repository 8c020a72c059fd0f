import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const TITLE = "Sales";
const BARS = [{ label: "Q1", value: 10 }, { label: "Q2", value: 20 }];
const PREFIX = "";
const SUFFIX = "";
const DECIMALS = 0;
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

const PEAK = Math.max(1e-9, ...BARS.map((bar) => Math.abs(bar.value)));

const Bar = ({ label, value, index }: { label: string; value: number; index: number }) => {
  const frame = useCurrentFrame() * SPEED;
  const { fps, height } = useVideoConfig();
  const start = 12 + index * Math.min(6, 40 / BARS.length);
  const grown = spring({ frame: frame - start, fps, config: { damping: ANIMATION === "bounce" ? 10 : 200 } });
  return (
    <div style={{ flex: 1, minWidth: 0, textAlign: "center", ...useMotion(start) }}>
      <div style={{ fontSize: FONT_SIZE * 0.75, fontWeight: 700, marginBottom: FONT_SIZE * 0.2 }}>
        {PREFIX + (value * grown).toFixed(DECIMALS) + SUFFIX}
      </div>
      <div
        style={{
          height: Math.max(4, (Math.abs(value) / PEAK) * grown * height * 0.46),
          margin: "0 12%",
          borderRadius: `${FONT_SIZE * 0.25}px ${FONT_SIZE * 0.25}px 4px 4px`,
          background: ACCENT_COLOR,
          opacity: 0.6 + 0.4 * (Math.abs(value) / PEAK),
        }}
      />
      <div style={{ fontSize: FONT_SIZE * 0.6, opacity: 0.85, marginTop: FONT_SIZE * 0.3, overflowWrap: "anywhere" }}>
        {label}
      </div>
    </div>
  );
};

export default function Scene() {
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      <AbsoluteFill style={{ justifyContent: "space-between", padding: "7% 8%" }}>
        <div style={{ fontSize: FONT_SIZE * 1.4, fontWeight: FONT_WEIGHT, textAlign: "center" }}>
          <Words text={TITLE} start={2} />
        </div>
        <div style={{ display: "flex", alignItems: "flex-end", width: "100%" }}>
          {BARS.map((bar, index) => (
            <Bar key={index} label={bar.label} value={bar.value} index={index} />
          ))}
        </div>
      </AbsoluteFill>
    </AbsoluteFill>
  );
}
