import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { compile } from "../src/preview/frame/compile";
import { CompositionContext, FrameContext } from "../src/remotion/timeline";

/** Return the HTML of a scene at one frame. */
function draw(code: string, frame = 0, props: Record<string, unknown> = {}): string {
  const config = { id: "scene", width: 1920, height: 1080, fps: 30, durationInFrames: 150, defaultProps: {}, props };
  const scene = createElement(compile(code), props);
  const timed = createElement(FrameContext.Provider, { value: frame }, scene);
  return renderToStaticMarkup(createElement(CompositionContext.Provider, { value: config }, timed));
}

test("a scene is the default export, or the only component exported by name", () => {
  expect(draw(`export default function A() { return <b>a</b>; }`)).toBe("<b>a</b>");
  expect(draw(`import React from 'react';\nexport const A: React.FC<{n: number}> = ({n}) => <b>{n}</b>;\nexport default A;`, 0, { n: 4 })).toBe("<b>4</b>");
  expect(draw(`export const A = () => <b>a</b>;`)).toBe("<b>a</b>");
  expect(draw(`import {memo} from 'react';\nexport default memo(() => <b>a</b>);`)).toBe("<b>a</b>");
  expect(draw("  \n")).toContain("Blank scene");
});

test("code that is no scene is refused with a reason", () => {
  expect(() => compile(`const A = 1;`)).toThrow(/exports no component/);
  expect(() => compile(`export const A = () => null; export const B = () => null;`)).toThrow(/A, B/);
  expect(() => compile(`import fs from 'fs'; export default () => <b>{fs}</b>;`)).toThrow(/no "fs" here/);
  expect(() => compile(`export default function A() { return <b>; }`)).toThrow(SyntaxError);
});

test("types, hooks and the names of remotion work", () => {
  const code = `
    import { AbsoluteFill, interpolate, useCurrentFrame, useVideoConfig, type SpringConfig } from 'remotion';
    interface Props { title?: string }
    export default function A({ title = 'x' }: Props) {
      const frame = useCurrentFrame();
      const { width, durationInFrames } = useVideoConfig();
      const opacity = interpolate(frame, [0, 30], [0, 1]) as number;
      return <AbsoluteFill style={{ opacity }}>{title} {width} {durationInFrames}</AbsoluteFill>;
    }`;
  expect(draw(code, 15)).toMatch(/opacity:0\.5.*>x 1920 150</);
});

const CLOCK = `
  import { Freeze, Loop, Sequence, Series, useCurrentFrame, useVideoConfig } from 'remotion';
  const Clock = () => <i>{useCurrentFrame()}/{useVideoConfig().durationInFrames}</i>;`;
const at = (jsx: string, frame: number) => draw(`${CLOCK}\nexport default () => <>${jsx}</>;`, frame).replace(/<\/?(div|i)[^>]*>/g, "");

test("a sequence shows its children during its time, with frames of their own", () => {
  const jsx = `<Sequence from={10} durationInFrames={5}><Clock /></Sequence>`;
  expect([9, 10, 14, 15].map((frame) => at(jsx, frame))).toEqual(["", "0/5", "4/5", ""]);
  expect(at(`<Sequence from={10}><Sequence from={20}><Clock /></Sequence></Sequence>`, 40)).toBe("10/120");
  expect(at(`<Sequence from={-10}><Clock /></Sequence>`, 0)).toBe("10/160");
});

test("a series plays one after the other, with offsets", () => {
  const jsx = `<Series>
    <Series.Sequence durationInFrames={10}><Clock /></Series.Sequence>
    <><Series.Sequence durationInFrames={20} offset={-2}><Clock /></Series.Sequence></>
    <Series.Sequence durationInFrames={5}><Clock /></Series.Sequence></Series>`;
  expect([0, 9, 27, 28, 33].map((frame) => at(jsx, frame))).toEqual(["0/10", "9/101/20", "19/20", "0/5", ""]);
});

test("a loop starts over, a freeze keeps its frame", () => {
  expect([0, 12, 20].map((frame) => at(`<Loop durationInFrames={10} times={2}><Clock /></Loop>`, frame))).toEqual(["0/10", "2/10", ""]);
  expect(at(`<Freeze frame={7}><Clock /></Freeze>`, 40)).toBe("7/150");
  expect(at(`<Freeze frame={7} active={(f) => f > 50}><Clock /></Freeze>`, 40)).toBe("40/150");
});

test("nothing is fetched: images of other addresses are placeholders", () => {
  expect(draw(`import {Img} from 'remotion'; export default () => <Img src="https://example.com/a.png" alt="Logo" />;`)).not.toContain("<img");
  expect(draw(`import {Img} from 'remotion'; export default () => <Img src="data:image/png;base64,AAAA" />;`)).toContain("<img");
});
