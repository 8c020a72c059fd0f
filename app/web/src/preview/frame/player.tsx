// The clock of the preview frame: the scene, its current frame, and whether it plays. Renders with Stage and reports to the
// studio.
import type { Root } from "react-dom/client";
import { MAX_ERROR_CHARACTERS, VERSION, type FromFrame, type SceneLoad, type ToFrame } from "../protocol";
import { compile, type SceneComponent } from "./compile";
import { Stage } from "./Stage";

const MAX_ERRORS = 20; // reported for one load; a scene that throws on every frame must not flood the studio

export class Player {
  #scene: SceneLoad | null = null;
  #component: SceneComponent | null = null;
  #load = 0;
  #frame = 0;
  #attempt = 0;
  #hasFailed = false;
  #errors = 0;
  #playing = false;
  #startedAt = 0; // ms on the page's clock at which frame 0 would have been shown
  #ticking = 0;

  constructor(
    private readonly root: Root,
    private readonly send: (message: FromFrame) => void,
  ) {}

  receive(message: ToFrame): void {
    switch (message.type) {
      case "ping":
        return this.send({ v: VERSION, type: "pong" });
      case "load":
        return this.#open(message, message.load, message.frame);
      case "seek":
        return this.#seek(message.frame);
      case "play":
        return this.#play();
      case "pause":
        this.#playing = false;
    }
  }

  fail = (error: unknown): void => {
    this.#hasFailed = true;
    this.#errors += 1;
    if (this.#errors > MAX_ERRORS) return;
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.send({ v: VERSION, type: "error", load: this.#load, message: text.slice(0, MAX_ERROR_CHARACTERS) });
  };

  /** Continue at the current frame after the page was hidden and rendered nothing. */
  resume(): void {
    this.#anchor();
  }

  #rendered = (): void => {
    if (!this.#hasFailed) this.send({ v: VERSION, type: "rendered", load: this.#load });
  };

  #open(scene: SceneLoad, load: number, frame: number): void {
    this.#load = load;
    this.#scene = scene;
    this.#hasFailed = false;
    this.#errors = 0;
    this.#frame = this.#clamp(frame);
    this.#anchor();
    try {
      this.#component = compile(scene.code);
    } catch (error) {
      this.#component = null;
      this.fail(error);
    }
    this.#draw();
  }

  #seek(frame: number): void {
    if (this.#hasFailed) {
      this.#hasFailed = false;
      this.#attempt += 1;
    }
    this.#frame = this.#clamp(frame);
    this.#anchor();
    this.#draw();
  }

  #play(): void {
    if (this.#scene === null || this.#playing) return;
    if (this.#frame >= this.#scene.durationInFrames - 1) this.#seek(0);
    this.#playing = true;
    this.#anchor();
    cancelAnimationFrame(this.#ticking);
    this.#ticking = requestAnimationFrame(this.#tick);
  }

  #tick = (): void => {
    if (!this.#playing || this.#scene === null) return;
    const { fps, durationInFrames } = this.#scene;
    const frame = Math.floor(((performance.now() - this.#startedAt) / 1000) * fps);
    if (frame > this.#frame) {
      this.#frame = this.#clamp(frame);
      this.#draw();
      this.send({ v: VERSION, type: "frame", frame: this.#frame });
    }
    if (frame >= durationInFrames - 1) {
      this.#playing = false;
      this.send({ v: VERSION, type: "ended" });
      return;
    }
    this.#ticking = requestAnimationFrame(this.#tick);
  };

  #clamp(frame: number): number {
    return Math.max(0, Math.min(frame, (this.#scene?.durationInFrames ?? 1) - 1));
  }

  #anchor(): void {
    this.#startedAt = performance.now() - (this.#frame / (this.#scene?.fps ?? 30)) * 1000;
  }

  #draw(): void {
    if (this.#scene === null || this.#component === null) return this.root.render(null);
    this.root.render(
      <Stage
        scene={this.#scene}
        component={this.#component}
        frame={this.#frame}
        attempt={`${this.#load}.${this.#attempt}`}
        onRendered={this.#rendered}
        onError={this.fail}
      />,
    );
  }
}
