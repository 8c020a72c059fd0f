// Maps a number from one range to another, piece by piece, as Remotion documents it.
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

/** The piece that `value` lies in; a value on a border belongs to the piece that ends there. */
function pieceOf(value: number, input: readonly number[]): number {
  let piece = 0;
  while (piece < input.length - 2 && value > (input[piece + 1] as number)) piece++;
  return piece;
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
  const piece = pieceOf(x, input);
  const [from, to] = [input[piece] as number, input[piece + 1] as number];
  const [low, high] = [output[piece] as number, output[piece + 1] as number];
  return low + easing((x - from) / (to - from)) * (high - low);
}
