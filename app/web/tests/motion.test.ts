import { describe, expect, test } from "vitest";
import { Easing, interpolate, interpolateColors, measureSpring, random, spring } from "../src/remotion";

describe("interpolate", () => {
  test("maps linearly, and by default extends beyond both ends", () => {
    expect(interpolate(5, [0, 10], [0, 100])).toBe(50);
    expect(interpolate(-5, [0, 10], [0, 100])).toBe(-50);
    expect(interpolate(15, [0, 10], [100, 0])).toBe(-50);
  });

  test("takes the piece that the value lies in", () => {
    expect(interpolate(15, [0, 10, 20, 30], [0, 1, 1, 0])).toBe(1);
    expect(interpolate(25, [0, 10, 20, 30], [0, 1, 1, 0])).toBe(0.5);
    expect(interpolate(10, [0, 10, 20], [0, 7, 100])).toBe(7);
  });

  test("clamps, wraps or passes through outside its range", () => {
    const clamp = { extrapolateLeft: "clamp", extrapolateRight: "clamp" } as const;
    expect(interpolate(-1, [0, 10], [2, 4], clamp)).toBe(2);
    expect(interpolate(99, [0, 10], [2, 4], clamp)).toBe(4);
    expect(interpolate(13, [0, 10], [0, 100], { extrapolateRight: "wrap" })).toBe(30);
    expect(interpolate(-3, [0, 10], [0, 100], { extrapolateLeft: "wrap" })).toBe(70);
    expect(interpolate(13, [0, 10], [0, 100], { extrapolateRight: "identity" })).toBe(13);
  });

  test("eases within each piece", () => {
    expect(interpolate(5, [0, 10], [0, 100], { easing: Easing.quad })).toBe(25);
    expect(interpolate(15, [0, 10, 20], [0, 100, 200], { easing: Easing.quad })).toBe(125);
  });

  test("refuses ranges that make no sense", () => {
    expect(() => interpolate(1, [0, 1], [0])).toThrow(/as many/);
    expect(() => interpolate(1, [0], [0])).toThrow(/at least 2/);
    expect(() => interpolate(1, [0, 10, 10], [0, 1, 2])).toThrow(/strictly increasing/);
    expect(() => interpolate(1, [0, Infinity], [0, 1])).toThrow(/finite/);
  });
});

describe("interpolateColors", () => {
  test("blends channel by channel", () => {
    expect(interpolateColors(0.5, [0, 1], ["#000000", "#ffffff"])).toBe("rgba(128, 128, 128, 1)");
    expect(interpolateColors(0.5, [0, 1], ["rgba(255, 0, 0, 0)", "blue"])).toBe("rgba(128, 0, 128, 0.5)");
    expect(interpolateColors(9, [0, 1], ["red", "hsl(120, 100%, 50%)"])).toBe("rgba(0, 255, 0, 1)");
    expect(interpolateColors(0, [0, 1], ["#0f08", "#fff"])).toBe("rgba(0, 255, 0, 0.533)");
  });

  test("says which colour it cannot read", () => {
    expect(() => interpolateColors(0, [0, 1], ["red", "reddish"])).toThrow(/"reddish"/);
  });
});

describe("Easing", () => {
  const curves = { ...Easing, poly: Easing.poly(4), elastic: Easing.elastic(), back: Easing.back(), bezier: Easing.bezier(0.1, 0.2, 0.3, 0.9) };
  const { in: _in, out: _out, inOut: _inOut, ...plain } = curves;

  test.each(Object.entries(plain))("%s starts at 0 and ends at 1", (_name, curve) => {
    expect(curve(0)).toBeCloseTo(0, 2);
    expect(curve(1)).toBeCloseTo(1, 6);
  });

  test("has the values of its formulas", () => {
    expect(Easing.cubic(0.5)).toBe(0.125);
    expect(Easing.sin(1 / 3)).toBeCloseTo(1 - Math.cos(Math.PI / 6), 12);
    expect(Easing.circle(0.6)).toBeCloseTo(0.2, 12); // 1 - sqrt(1 - 0.36)
    expect(Easing.bounce(1 / 2.75)).toBeCloseTo(1, 12);
    expect(Easing.bounce(1.5 / 2.75)).toBeCloseTo(0.75, 12);
    expect(Easing.back(1)(0.5)).toBeCloseTo(0, 12); // 0.25 * (2 * 0.5 - 1)
  });

  test("turns curves around", () => {
    expect(Easing.out(Easing.quad)(0.5)).toBe(0.75);
    expect(Easing.inOut(Easing.quad)(0.25)).toBe(0.125);
    expect(Easing.inOut(Easing.quad)(0.75)).toBe(0.875);
    expect(Easing.in(Easing.quad)(0.5)).toBe(0.25);
  });

  test("bezier is the curve of CSS", () => {
    expect(Easing.bezier(0.3, 0.3, 0.7, 0.7)(0.42)).toBeCloseTo(0.42, 6);
    expect(Easing.bezier(0.42, 0, 0.58, 1)(0.5)).toBeCloseTo(0.5, 6);
    expect(Easing.ease(0.5)).toBeCloseTo(0.3154, 3); // CSS ease-in at one half
  });
});

describe("spring", () => {
  const fps = 30;

  test("starts at rest at from and comes to rest at to", () => {
    expect(spring({ frame: 0, fps })).toBe(0);
    expect(spring({ frame: -10, fps, from: 5, to: 9 })).toBe(5);
    expect(spring({ frame: 300, fps, from: 5, to: 9 })).toBeCloseTo(9, 6);
  });

  test("follows the damped oscillation", () => {
    // stiffness 100, mass 1, damping 10: decay 5 per second, frequency sqrt(75); half a swing after the start it overshoots
    // by e^(-5 pi / sqrt 75) = 16.3 %.
    const half = Math.PI / Math.sqrt(75);
    expect(spring({ frame: half * fps, fps })).toBeCloseTo(1 + Math.exp(-5 * half), 9);
    expect(spring({ frame: half * fps, fps, config: { overshootClamping: true } })).toBe(1);
  });

  test("never overshoots when damped critically or more", () => {
    // (1 + 10 t) e^(-10 t) of the way is left; at t = 0.5 that is 6 e^-5
    expect(spring({ frame: 15, fps, config: { damping: 20 } })).toBeCloseTo(1 - 6 * Math.exp(-5), 12);
    expect(spring({ frame: 15, fps, config: { damping: 200 } })).toBeCloseTo(1 - 6 * Math.exp(-5), 12);
  });

  test("is measured, stretched, delayed and reversed", () => {
    expect(measureSpring({ fps, config: { damping: 200 } })).toBe(23); // 10 t = 7.43 leaves 0.005: t = 0.743 s
    const natural = measureSpring({ fps });
    expect(spring({ frame: natural, fps, durationInFrames: natural * 2 })).toBeCloseTo(spring({ frame: natural / 2, fps }), 12);
    expect(spring({ frame: 25, fps, delay: 20 })).toBe(spring({ frame: 5, fps }));
    expect(spring({ frame: 10, fps, durationInFrames: 40, reverse: true })).toBeCloseTo(spring({ frame: 30, fps, durationInFrames: 40 }), 12);
  });

  test("refuses what has no motion", () => {
    expect(() => spring({ frame: 1, fps, config: { damping: 0 } })).toThrow(/above 0/);
    expect(() => spring({ frame: 1, fps: 0 })).toThrow(/fps/);
  });
});

test("random is even, and the same for the same seed", () => {
  expect(random("a")).toBe(random("a"));
  expect(random("1")).not.toBe(random(1));
  const draws = Array.from({ length: 2000 }, (_, i) => random(i));
  expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
  expect(draws.reduce((sum, draw) => sum + draw) / draws.length).toBeCloseTo(0.5, 1);
  expect(new Set(draws).size).toBeGreaterThan(1990);
});
