import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ApiError, explain, request } from "../src/api";

let server: Server;
let base: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const reply = (response: ServerResponse, status: number, body: unknown, headers = {}) =>
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));

const failure = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(() => null, (reason: unknown) => reason);
  if (!(error instanceof ApiError)) throw new Error(`not an ApiError: ${String(error)}`);
  return error;
};

test("the data is taken out of the envelope", async () => {
  answer = (_request, response) => reply(response, 200, { data: { id: "x" }, meta: {} });
  expect(await request("GET", `${base}/x`)).toEqual({ id: "x" });
});

test("a change is JSON with a key of its own, and keeps that key when it is sent again", async () => {
  const keys: unknown[] = [];
  answer = (request, response) => {
    keys.push(request.headers["idempotency-key"]);
    expect(request.headers["content-type"]).toBe("application/json");
    if (keys.length === 1) request.socket.destroy();
    else reply(response, 200, { data: {} });
  };
  await request("DELETE", `${base}/x`);
  await request("POST", `${base}/x`, {});
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).not.toBe(keys[0]);
});

test("an error carries the code, the request's id and the time to wait", async () => {
  const error = { code: "RATE_LIMITED", message: "Too many.", retryable: true };
  answer = (_request, response) => reply(response, 429, { data: null, meta: { requestId: "r" }, error }, { "Retry-After": "7" });
  expect(await failure(request("GET", base))).toMatchObject({ ...error, status: 429, requestId: "r", retryAfter: 7 });
});

test("a validation error shows the message of the rule", async () => {
  const details = [{ path: "duration", rule: "max", message: "At most 18000 frames." }];
  const error = { code: "VALIDATION_FAILED", message: "The request breaks a rule.", retryable: false, details };
  answer = (_request, response) => reply(response, 422, { data: null, error });
  expect(explain(await failure(request("GET", base)))).toBe("The request breaks a rule. At most 18000 frames.");
});

test("a response without an envelope is a network error, and so is no response", async () => {
  answer = (_request, response) => response.writeHead(502).end("<html>");
  expect(await failure(request("GET", base))).toMatchObject({ code: "NETWORK", status: 502 });
  answer = (request) => request.socket.destroy();
  expect(await failure(request("GET", base))).toMatchObject({ code: "NETWORK", status: 0 });
});
