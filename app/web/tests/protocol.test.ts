import { expect, test } from "vitest";
import { MAX_ERROR_CHARACTERS, readFromFrame } from "../src/preview/protocol";

test("messages of the frame are accepted in exactly the known shapes", () => {
  expect(readFromFrame({ v: 1, type: "pong", extra: "dropped" })).toEqual({ v: 1, type: "pong" });
  expect(readFromFrame({ v: 1, type: "frame", frame: 12 })).toEqual({ v: 1, type: "frame", frame: 12 });
  expect(readFromFrame({ v: 1, type: "rendered", load: 3 })).toEqual({ v: 1, type: "rendered", load: 3 });
});

test("a long error is cut", () => {
  const read = readFromFrame({ v: 1, type: "error", load: 1, message: "x".repeat(MAX_ERROR_CHARACTERS + 1) });
  expect(read).toMatchObject({ message: "x".repeat(MAX_ERROR_CHARACTERS) });
});

test.each([
  null,
  "pong",
  {},
  { type: "pong" },
  { v: 2, type: "pong" },
  { v: 1, type: "load" },
  { v: 1, type: "frame" },
  { v: 1, type: "frame", frame: -1 },
  { v: 1, type: "frame", frame: 1.5 },
  { v: 1, type: "frame", frame: 1e9 },
  { v: 1, type: "frame", frame: "1" },
  { v: 1, type: "error", load: 1, message: { toString: () => "x" } },
  { v: 1, type: "error", message: "no load" },
])("anything else is refused: %j", (data) => {
  expect(readFromFrame(data)).toBeNull();
});
