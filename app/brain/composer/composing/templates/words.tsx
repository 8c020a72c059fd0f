const Word = ({ children, start }: { children: string; start: number }) => (
  <span style={{ display: "inline-block", overflowWrap: "anywhere", ...useMotion(start) }}>{children}</span>
);

const Typed = ({ text, start }: { text: string; start: number }) => {
  const frame = useCurrentFrame() * SPEED;
  const { durationInFrames } = useVideoConfig();
  const letters = Array.from(text);
  const pace = Math.min(2, (durationInFrames * 0.5) / Math.max(1, letters.length));
  const shown = Math.max(0, Math.floor((frame - start) / pace));
  return (
    <span style={{ whiteSpace: "pre-wrap", ...useMotion(start) }}>
      {letters.slice(0, shown).join("")}
      <span style={{ color: ACCENT_COLOR, opacity: Math.floor(frame / 12) % 2 }}>|</span>
      <span style={{ opacity: 0 }}>{letters.slice(shown).join("")}</span>
    </span>
  );
};

/** Text that comes in word by word, or letter by letter from a typewriter. */
const Words = ({ text, start }: { text: string; start: number }) => {
  const { durationInFrames } = useVideoConfig();
  if (ANIMATION === "typewriter") {
    return <Typed text={text} start={start} />;
  }
  const lines = text.split("\n").map((line) => line.split(" "));
  const count = lines.reduce((sum, line) => sum + line.length, 0);
  const gap = Math.min(3, (durationInFrames * 0.25) / Math.max(1, count));
  let index = 0;
  return (
    <>
      {lines.map((line, row) => (
        <div key={row} style={{ display: "flex", flexWrap: "wrap", justifyContent: ALIGN, columnGap: "0.28em" }}>
          {line.map((word, column) => (
            <Word key={column} start={start + gap * index++}>
              {word}
            </Word>
          ))}
        </div>
      ))}
    </>
  );
};
