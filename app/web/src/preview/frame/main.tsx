// The entry of the preview frame: requests a port from the studio and plays what arrives through it.
import { createRoot } from "react-dom/client";
import { PORT, READY, VERSION, type ToFrame } from "../protocol";
import { lock } from "./lock";
import { Player } from "./player";

const REQUEST_INTERVAL_MS = 200; // until the studio listens

lock();

const stage = document.getElementById("stage");
if (stage === null) throw new Error("preview.html has no #stage");

let port: MessagePort | null = null;
const player = new Player(
  // The studio shows errors of the scene; they must not fill the console of the page.
  createRoot(stage, { onCaughtError: () => undefined }),
  (message) => port?.postMessage(message),
);

const requestPort = () => window.parent.postMessage({ v: VERSION, type: READY }, "*");
const requesting = setInterval(requestPort, REQUEST_INTERVAL_MS);

window.addEventListener("message", (event) => {
  const [given] = event.ports;
  if (port !== null || event.source !== window.parent || given === undefined || event.data?.type !== PORT) return;
  clearInterval(requesting);
  port = given;
  port.onmessage = (message: MessageEvent<ToFrame>) => player.receive(message.data);
});
document.addEventListener("visibilitychange", () => player.resume());
window.addEventListener("error", (event) => player.fail(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => player.fail(event.reason));
requestPort();
