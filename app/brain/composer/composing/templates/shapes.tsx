import React from "react";
import { AbsoluteFill, Easing, interpolate, spring, useCurrentFrame, useVideoConfig } from "remotion";

const TITLE = "";
const SHAPE: string = "circle";
const COUNT: number = 9;
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

const Figure = ({ index }: { index: number }) => {
  const frame = useCurrentFrame() * SPEED;
  const { fps, width, height } = useVideoConfig();
  const unit = Math.min(width, height);
  const here = spring({ frame: frame - index * 4, fps, config: { damping: 12 } });
  const angle = (index / COUNT) * Math.PI * 2 + frame / 50;
  const reach = COUNT === 1 ? 0 : unit * (0.3 + 0.05 * Math.sin(frame / 25 + index));
  const size = COUNT === 1 ? unit * 0.34 : unit * (0.09 + 0.03 * Math.sin(index * 2.4 + frame / 30));
  const round: Record<string, string> = { circle: "50%", square: "18%", diamond: "12%" };
  const turn = SHAPE === "diamond" ? 45 : frame * 1.2;
  return (
    <div
      style={{
        position: "absolute",
        left: width / 2 + Math.cos(angle) * reach * here - size / 2,
        top: height / 2 + Math.sin(angle) * reach * here - size / 2,
        ...useMotion(index * 4),
      }}
    >
      <div
        style={{
          width: size,
          height: size,
          borderRadius: round[SHAPE] ?? 0,
          clipPath: SHAPE === "triangle" ? "polygon(50% 0%, 100% 100%, 0% 100%)" : undefined,
          background: index % 3 === 2 ? TEXT_COLOR : ACCENT_COLOR,
          opacity: 0.55 + 0.45 * Math.abs(Math.sin(index)),
          transform: `rotate(${turn}deg)`,
        }}
      />
    </div>
  );
};

export default function Scene() {
  return (
    <AbsoluteFill style={{ fontFamily: FONT_FAMILY, color: TEXT_COLOR }}>
      <Backdrop />
      {Array.from({ length: COUNT }, (_, index) => (
        <Figure key={index} index={index} />
      ))}
      {TITLE ? (
        <AbsoluteFill style={{ justifyContent: "center", alignItems: "center", textAlign: "center", padding: "10%" }}>
          <div style={{ fontSize: FONT_SIZE, fontWeight: FONT_WEIGHT, lineHeight: 1.1 }}>
            <Words text={TITLE} start={20} />
          </div>
        </AbsoluteFill>
      ) : null}
    </AbsoluteFill>
  );
}
