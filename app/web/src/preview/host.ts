// The studio's side of one preview frame: hands over the port, loads scenes, plays, and notices when the frame stops.
import { PORT, READY, readFromFrame, VERSION, type FromFrame, type SceneLoad, type ToFrame } from "./protocol";

const PING_EVERY = 1000; // ms
const PINGS_MISSED_MOST = 3;
const READY_WITHIN = 15_000; // ms
const MESSAGES_MOST = 200; // a second

export type Stopped = "unresponsive" | "flooding" | "navigated" | "never ready";

export interface HostListener {
  onRendered(): void;
  onError(message: string): void;
  onFrame(frame: number): void;
  onEnded(): void;
  /** The frame is to be removed; the host is closed already. */
  onStopped(why: Stopped): void;
}

export class PreviewHost {
  #port: MessagePort | null = null;
  #waiting: ToFrame[] = []; // said before there was a port
  #load = 0;
  #missed = 0;
  #count = 0; // messages since the last ping
  #pages = 0; // that the frame has loaded; the preview is the first and only one
  #closed = false;
  #pings: ReturnType<typeof setInterval> | undefined;
  #patience: ReturnType<typeof setTimeout>;

  constructor(
    private readonly frame: HTMLIFrameElement,
    private readonly listener: HostListener,
  ) {
    window.addEventListener("message", this.#onWindowMessage);
    frame.addEventListener("load", this.#onLoad);
    this.#patience = setTimeout(() => this.#stop("never ready"), READY_WITHIN);
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
    clearInterval(this.#pings);
    clearTimeout(this.#patience);
    this.#port?.close();
    this.#port = null;
  }

  #send(message: ToFrame): void {
    if (this.#closed) return;
    if (this.#port) this.#port.postMessage(message);
    else this.#waiting.push(message);
  }

  #onLoad = (): void => {
    this.#pages += 1;
    if (this.#pages > 1) this.#stop("navigated");
  };

  /** Only the first word of exactly our frame counts; its origin is opaque, so it reads "null". */
  #onWindowMessage = (event: MessageEvent): void => {
    const target = this.frame.contentWindow;
    if (this.#port || target === null || event.source !== target || event.origin !== "null") return;
    if ((event.data as { type?: unknown } | null)?.type !== READY) return;
    clearTimeout(this.#patience);
    const channel = new MessageChannel();
    this.#port = channel.port1;
    this.#port.onmessage = (message) => this.#onPortMessage(message.data);
    target.postMessage({ v: VERSION, type: PORT }, "*", [channel.port2]);
    for (const message of this.#waiting.splice(0)) this.#port.postMessage(message);
    this.#pings = setInterval(() => this.#ping(), PING_EVERY);
  };

  #ping(): void {
    this.#count = 0;
    this.#missed += 1;
    if (this.#missed > PINGS_MISSED_MOST) this.#stop("unresponsive");
    else this.#send({ v: VERSION, type: "ping" });
  }

  #onPortMessage(data: unknown): void {
    if (this.#closed) return;
    this.#count += 1;
    if (this.#count > MESSAGES_MOST) return this.#stop("flooding");
    const message = readFromFrame(data);
    if (message) this.#deliver(message);
  }

  #deliver(message: FromFrame): void {
    switch (message.type) {
      case "pong":
        this.#missed = 0;
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

  #stop(why: Stopped): void {
    if (this.#closed) return;
    this.close();
    this.listener.onStopped(why);
  }
}
