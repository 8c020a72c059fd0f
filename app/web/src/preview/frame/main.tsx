// The preview frame's entry: asks the studio for a port and plays what comes through it.
import { createRoot } from "react-dom/client";
import { PORT, READY, VERSION, type ToFrame } from "../protocol";
import { lock } from "./lock";
import { Player } from "./player";

const ASK_EVERY = 200; // ms, until the studio listens

lock();

const stage = document.getElementById("stage");
if (stage === null) throw new Error("preview.html has no #stage");

let port: MessagePort | null = null;
const player = new Player(
  // The studio shows what went wrong; the console of the page stays clean.
  createRoot(stage, { onCaughtError: () => undefined }),
  (message) => port?.postMessage(message),
);

const ask = () => window.parent.postMessage({ v: VERSION, type: READY }, "*");
const asking = setInterval(ask, ASK_EVERY);

window.addEventListener("message", (event) => {
  const [given] = event.ports;
  if (port !== null || event.source !== window.parent || given === undefined || event.data?.type !== PORT) return;
  clearInterval(asking);
  port = given;
  port.onmessage = (message: MessageEvent<ToFrame>) => player.receive(message.data);
});
document.addEventListener("visibilitychange", () => player.resume());
window.addEventListener("error", (event) => player.fail(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => player.fail(event.reason));
ask();
