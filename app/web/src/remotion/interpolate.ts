// Maps a number from one range to another, segment by segment, as Remotion documents it.
import type { Curve } from "./easing";

export type Extrapolate = "extend" | "clamp" | "identity" | "wrap";

export interface InterpolateOptions {
  extrapolateLeft?: Extrapolate;
  extrapolateRight?: Extrapolate;
  easing?: Curve;
}

function checkRanges(input: readonly number[], output: readonly unknown[]): void {
  if (input.length !== output.length) {
    throw new TypeError(`inputRange has ${input.length} values, outputRange ${output.length}; they must be as many`);
  }
  if (input.length < 2) throw new TypeError("inputRange must have at least 2 values");
  input.forEach((value, i) => {
    if (!Number.isFinite(value)) throw new TypeError("inputRange must hold finite numbers only");
    if (i > 0 && value <= (input[i - 1] as number)) {
      throw new TypeError(`inputRange must be strictly increasing, got [${input.join(", ")}]`);
    }
  });
}

/** Return the index of the segment that holds `value`; a border belongs to the segment that ends there. */
function segmentOf(value: number, input: readonly number[]): number {
  let segment = 0;
  while (segment < input.length - 2 && value > (input[segment + 1] as number)) segment++;
  return segment;
}

export function interpolate(
  value: number,
  input: readonly number[],
  output: readonly number[],
  options: InterpolateOptions = {},
): number {
  if (typeof value !== "number") throw new TypeError(`interpolate needs a number, got ${String(value)}`);
  checkRanges(input, output);
  if (!output.every((to) => Number.isFinite(to))) throw new TypeError("outputRange must hold finite numbers only");
  const { extrapolateLeft = "extend", extrapolateRight = "extend", easing = (t: number) => t } = options;
  const first = input[0] as number;
  const last = input[input.length - 1] as number;
  let x = value;
  const mode = x < first ? extrapolateLeft : x > last ? extrapolateRight : "extend";
  if (mode === "identity") return x;
  if (mode === "clamp") x = Math.min(last, Math.max(first, x));
  if (mode === "wrap") {
    const span = last - first;
    x = ((((x - first) % span) + span) % span) + first;
  }
  const segment = segmentOf(x, input);
  const [from, to] = [input[segment] as number, input[segment + 1] as number];
  const [low, high] = [output[segment] as number, output[segment + 1] as number];
  return low + easing((x - from) / (to - from)) * (high - low);
}
