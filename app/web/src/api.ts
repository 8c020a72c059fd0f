// Requests to the server: unwraps the envelope, throws errors with their code, and applies each change at most once.

export interface Meta {
  requestId: string;
  operation: string;
  affectedIds: string[];
  revision?: number;
}

export type ErrorCode =
  | "INVALID_INPUT" | "UNAUTHORIZED" | "FORBIDDEN" | "NOT_FOUND" | "ALREADY_EXISTS" | "CONFLICT"
  | "PAYLOAD_TOO_LARGE" | "METHOD_NOT_ALLOWED" | "UNSUPPORTED_MEDIA_TYPE" | "VALIDATION_FAILED" | "RATE_LIMITED"
  | "AI_ERROR" | "STORAGE_ERROR" | "DATABASE_ERROR" | "SERVICE_UNAVAILABLE" | "INTERNAL_ERROR" | "STALE_BASE"
  | "NETWORK"; // of this client: no response, or an unreadable one

export class ApiError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly status: number,
    readonly retryable: boolean,
    readonly details: unknown = null,
    readonly requestId: string | null = null,
    readonly retryAfter: number | null = null, // seconds
  ) {
    super(message);
    this.name = "ApiError";
  }
}

interface Envelope<T> {
  data: T | null;
  meta?: Meta;
  error?: { code: ErrorCode; message: string; details?: unknown; retryable: boolean };
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

const RESPONSE_TIMEOUT_MS = 30_000;
const MAX_ATTEMPTS = 3; // of a request without a response; the same idempotency key makes a repeated change safe
const RETRY_PAUSE_MS = 400; // before the second attempt, twice as long before the third

/** Return a random key for one intended change. `crypto.randomUUID` is missing over plain http on a network. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function readResponse<T>(response: Response): Promise<T> {
  let envelope: Envelope<T>;
  try {
    envelope = (await response.json()) as Envelope<T>;
  } catch {
    throw new ApiError("NETWORK", `The server answered ${response.status} with something unreadable`, response.status, true);
  }
  const { error, meta } = envelope;
  if (error || !response.ok) {
    const wait = Number(response.headers.get("Retry-After")) || null;
    const { code = "INTERNAL_ERROR", message = "The server failed", retryable = false, details } = error ?? {};
    throw new ApiError(code, message, response.status, retryable, details ?? null, meta?.requestId ?? null, wait);
  }
  return envelope.data as T;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Send a request and return the `data` of its response. Throws `ApiError`. */
export async function request<T>(method: Method, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const all: Record<string, string> = { Accept: "application/json", ...headers };
  if (method !== "GET") {
    all["Content-Type"] = "application/json";
    all["Idempotency-Key"] ??= newIdempotencyKey();
  }
  const init: RequestInit = { method, headers: all, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) init.body = JSON.stringify(body);
  for (let attempt = 1; ; attempt++) {
    let response: Response;
    try {
      response = await fetch(path, { ...init, signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS) });
    } catch {
      if (attempt === MAX_ATTEMPTS) throw new ApiError("NETWORK", "The server cannot be reached", 0, true);
      await pause(RETRY_PAUSE_MS * attempt);
      continue;
    }
    return readResponse<T>(response);
  }
}

/** Return the sentence to show for anything that was thrown. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const rules = Array.isArray(error.details) ? (error.details as { message?: unknown }[]) : [];
  const first = rules.find((rule) => typeof rule.message === "string")?.message;
  return typeof first === "string" && first !== error.message ? `${error.message} ${first}` : error.message;
}
