// Parses CSS colours and blends them; the result is always an rgba() string.
import { interpolate } from "./interpolate";

type Rgba = readonly [red: number, green: number, blue: number, alpha: number]; // 0-255, alpha 0-1

const NAMED: Record<string, string> = {
  transparent: "#00000000", black: "#000000", white: "#ffffff", gray: "#808080", grey: "#808080", silver: "#c0c0c0",
  red: "#ff0000", maroon: "#800000", crimson: "#dc143c", tomato: "#ff6347", coral: "#ff7f50", salmon: "#fa8072",
  orange: "#ffa500", gold: "#ffd700", yellow: "#ffff00", khaki: "#f0e68c", olive: "#808000", lime: "#00ff00",
  green: "#008000", seagreen: "#2e8b57", teal: "#008080", turquoise: "#40e0d0", cyan: "#00ffff", aqua: "#00ffff",
  skyblue: "#87ceeb", blue: "#0000ff", dodgerblue: "#1e90ff", royalblue: "#4169e1", navy: "#000080", indigo: "#4b0082",
  violet: "#ee82ee", purple: "#800080", magenta: "#ff00ff", fuchsia: "#ff00ff", orchid: "#da70d6", pink: "#ffc0cb",
  hotpink: "#ff69b4", brown: "#a52a2a", beige: "#f5f5dc", ivory: "#fffff0", lavender: "#e6e6fa",
};

function fromHex(digits: string): Rgba | null {
  const wide = digits.length <= 4 ? [...digits].map((digit) => digit + digit).join("") : digits;
  if (!/^([0-9a-f]{6}|[0-9a-f]{8})$/.test(wide)) return null;
  const byte = (i: number) => parseInt(wide.slice(i, i + 2), 16);
  return [byte(0), byte(2), byte(4), wide.length === 8 ? byte(6) / 255 : 1];
}

function fromHsl(hue: number, saturation: number, lightness: number, alpha: number): Rgba {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number) => {
    const k = (((n + hue / 30) % 12) + 12) % 12;
    return 255 * (lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [channel(0), channel(8), channel(4), alpha];
}

/** Parse a colour name, #rgb, #rgba, #rrggbb, #rrggbbaa, rgb(), rgba(), hsl() or hsla(); throws for anything else. */
export function parseColor(text: string): Rgba {
  const value = text.trim().toLowerCase();
  const hex = NAMED[value] ?? value;
  const found = hex.startsWith("#") ? fromHex(hex.slice(1)) : null;
  if (found) return found;
  const call = /^(rgb|hsl)a?\(([^()]+)\)$/.exec(value);
  const parts = call?.[2]?.split(/[\s,/]+/).filter(Boolean) ?? [];
  const numbers = parts.map((part) => parseFloat(part));
  const [a, b, c] = numbers;
  if (a === undefined || b === undefined || c === undefined || numbers.length > 4 || numbers.some(Number.isNaN)) {
    throw new TypeError(`"${text}" is not a colour that can be blended`);
  }
  const alpha = numbers[3] === undefined ? 1 : parts[3]?.endsWith("%") ? numbers[3] / 100 : numbers[3];
  if (call?.[1] === "hsl") return fromHsl(a, b / 100, c / 100, alpha);
  const scaled = [a, b, c].map((n, i) => (parts[i]?.endsWith("%") ? n * 2.55 : n));
  return [scaled[0] as number, scaled[1] as number, scaled[2] as number, alpha];
}

/** Blend in sRGB, clamped at both ends; alpha has three decimals. */
export function interpolateColors(value: number, input: readonly number[], output: readonly string[]): string {
  const colors = output.map(parseColor);
  const channel = (i: 0 | 1 | 2 | 3) =>
    interpolate(value, input, colors.map((color) => color[i]), { extrapolateLeft: "clamp", extrapolateRight: "clamp" });
  const [red, green, blue] = [channel(0), channel(1), channel(2)].map(Math.round);
  return `rgba(${red}, ${green}, ${blue}, ${Number(channel(3).toFixed(3))})`;
}
