// The studio's side of a preview frame: hands over a port, sends commands, and stops a frame that misbehaves.
import { PORT, READY, readFromFrame, VERSION, type FromFrame, type SceneLoad, type ToFrame } from "./protocol";

const PING_INTERVAL_MS = 1000;
const MAX_MISSED_PINGS = 3; // in a row
const READY_TIMEOUT_MS = 15_000;
const MAX_MESSAGES_PER_PING = 200;

export type StopReason = "unresponsive" | "flooding" | "navigated" | "never ready";

export interface HostListener {
  onRendered(): void;
  onError(message: string): void;
  onFrame(frame: number): void;
  onEnded(): void;
  /** The frame must be removed; the host is already closed. */
  onStopped(reason: StopReason): void;
}

export class PreviewHost {
  #port: MessagePort | null = null;
  #queue: ToFrame[] = []; // messages sent before there was a port
  #load = 0;
  #missedPings = 0;
  #messages = 0; // received since the last ping
  #loads = 0; // pages that the frame has loaded; only the preview itself is allowed
  #closed = false;
  #pinger: ReturnType<typeof setInterval> | undefined;
  #readyTimer: ReturnType<typeof setTimeout>;

  constructor(
    private readonly frame: HTMLIFrameElement,
    private readonly listener: HostListener,
  ) {
    window.addEventListener("message", this.#onWindowMessage);
    frame.addEventListener("load", this.#onLoad);
    this.#readyTimer = setTimeout(() => this.#stop("never ready"), READY_TIMEOUT_MS);
  }

  load(scene: SceneLoad, frame: number): void {
    this.#load += 1;
    this.#send({ v: VERSION, type: "load", load: this.#load, frame, ...scene });
  }

  seek(frame: number): void {
    this.#send({ v: VERSION, type: "seek", frame });
  }

  play(): void {
    this.#send({ v: VERSION, type: "play" });
  }

  pause(): void {
    this.#send({ v: VERSION, type: "pause" });
  }

  close(): void {
    this.#closed = true;
    window.removeEventListener("message", this.#onWindowMessage);
    this.frame.removeEventListener("load", this.#onLoad);
    clearInterval(this.#pinger);
    clearTimeout(this.#readyTimer);
    this.#port?.close();
    this.#port = null;
  }

  #send(message: ToFrame): void {
    if (this.#closed) return;
    if (this.#port) this.#port.postMessage(message);
    else this.#queue.push(message);
  }

  #onLoad = (): void => {
    this.#loads += 1;
    if (this.#loads > 1) this.#stop("navigated");
  };

  /** Accept only the first message of this very frame; its origin is opaque, so it reads "null". */
  #onWindowMessage = (event: MessageEvent): void => {
    const target = this.frame.contentWindow;
    if (this.#port || target === null || event.source !== target || event.origin !== "null") return;
    if ((event.data as { type?: unknown } | null)?.type !== READY) return;
    clearTimeout(this.#readyTimer);
    const channel = new MessageChannel();
    this.#port = channel.port1;
    this.#port.onmessage = (message) => this.#onPortMessage(message.data);
    target.postMessage({ v: VERSION, type: PORT }, "*", [channel.port2]);
    for (const message of this.#queue.splice(0)) this.#port.postMessage(message);
    this.#pinger = setInterval(() => this.#ping(), PING_INTERVAL_MS);
  };

  #ping(): void {
    this.#messages = 0;
    this.#missedPings += 1;
    if (this.#missedPings > MAX_MISSED_PINGS) this.#stop("unresponsive");
    else this.#send({ v: VERSION, type: "ping" });
  }

  #onPortMessage(data: unknown): void {
    if (this.#closed) return;
    this.#messages += 1;
    if (this.#messages > MAX_MESSAGES_PER_PING) return this.#stop("flooding");
    const message = readFromFrame(data);
    if (message) this.#deliver(message);
  }

  #deliver(message: FromFrame): void {
    switch (message.type) {
      case "pong":
        this.#missedPings = 0;
        return;
      case "frame":
        return this.listener.onFrame(message.frame);
      case "ended":
        return this.listener.onEnded();
      case "rendered":
        if (message.load === this.#load) this.listener.onRendered();
        return;
      case "error":
        if (message.load === this.#load) this.listener.onError(message.message);
    }
  }

  #stop(reason: StopReason): void {
    if (this.#closed) return;
    this.close();
    this.listener.onStopped(reason);
  }
}
