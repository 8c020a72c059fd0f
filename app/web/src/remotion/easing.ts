// Easing curves by their public Remotion names; each maps 0..1 to 0..1 and may overshoot in between.

export type Curve = (t: number) => number;

const linear: Curve = (t) => t;
const quad: Curve = (t) => t * t;
const cubic: Curve = (t) => t * t * t;
const poly = (power: number): Curve => (t) => t ** power;
const sin: Curve = (t) => 1 - Math.cos((t * Math.PI) / 2);
const circle: Curve = (t) => 1 - Math.sqrt(1 - t * t);
const exp: Curve = (t) => (t <= 0 ? 0 : 2 ** (10 * (t - 1)));
const step0: Curve = (t) => (t > 0 ? 1 : 0);
const step1: Curve = (t) => (t >= 1 ? 1 : 0);

/** Swings before it settles; with `bounciness` 1 it overshoots once. */
function elastic(bounciness = 1): Curve {
  const turns = bounciness * Math.PI;
  return (t) => 1 - Math.cos((t * Math.PI) / 2) ** 3 * Math.cos(t * turns);
}

/** Moves back at first, by about 10 % at the default. */
function back(overshoot = 1.70158): Curve {
  return (t) => t * t * ((overshoot + 1) * t - overshoot);
}

/** A ball that falls and bounces three times, each time a quarter as high as before. */
const bounce: Curve = (t) => {
  const unit = 2.75; // four parabolas: half widths 1, 0.5, 0.25 and 0.125 of 1/2.75
  if (t < 1 / unit) return (unit * t) ** 2;
  const [centre, floor] = t < 2 / unit ? [1.5, 0.75] : t < 2.5 / unit ? [2.25, 0.9375] : [2.625, 0.984375];
  return (unit * t - centre) ** 2 + floor;
};

/** The cubic Bézier curve of CSS with the control points (0,0), (x1,y1), (x2,y2), (1,1): y as a function of x. */
function bezier(x1: number, y1: number, x2: number, y2: number): Curve {
  if (x1 < 0 || x1 > 1 || x2 < 0 || x2 > 1) throw new RangeError("bezier x values must be between 0 and 1");
  const at = (a: number, b: number, s: number) => 3 * a * s * (1 - s) ** 2 + 3 * b * s * s * (1 - s) + s ** 3;
  return (x) => {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    let low = 0;
    let high = 1;
    for (let i = 0; i < 40; i++) {
      const middle = (low + high) / 2;
      if (at(x1, x2, middle) < x) low = middle;
      else high = middle;
    }
    return at(y1, y2, (low + high) / 2);
  };
}

const inward = (curve: Curve): Curve => curve;
const outward = (curve: Curve): Curve => (t) => 1 - curve(1 - t);
const both = (curve: Curve): Curve => (t) => (t < 0.5 ? curve(t * 2) / 2 : 1 - curve((1 - t) * 2) / 2);

export const Easing = {
  step0,
  step1,
  linear,
  ease: bezier(0.42, 0, 1, 1),
  quad,
  cubic,
  poly,
  sin,
  circle,
  exp,
  elastic,
  back,
  bounce,
  bezier,
  in: inward,
  out: outward,
  inOut: both,
};
