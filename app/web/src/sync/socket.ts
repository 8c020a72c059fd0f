// The stream over a WebSocket; the one way in which a client can say something, too.
import { readEvent } from "./events";
import { pathOf, type Closing, type Transport } from "./transport";

const SUBPROTOCOL = "reelroom.v1.json";
const RESTARTING = 1012;
const REVOKED = [4401, 4403, 4404]; // unauthorised, role lost, no such project

export function closingOf(code: number): Closing {
  if (code === RESTARTING) return { kind: "restart" };
  return { kind: REVOKED.includes(code) ? "revoked" : "lost" };
}

export const socket: Transport = {
  name: "socket",
  connect(projectId, after, sink) {
    const url = new URL(pathOf(projectId, "socket"), globalThis.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const line = new WebSocket(url, SUBPROTOCOL);
    let left = false;
    const say = (frame: object) => {
      if (line.readyState === WebSocket.OPEN) line.send(JSON.stringify(frame));
    };
    line.onopen = () => say(after === null ? { type: "hello" } : { type: "hello", after });
    line.onmessage = ({ data }) => {
      if (!left) sink.onEvent(typeof data === "string" ? readEvent(data) : null);
    };
    line.onclose = ({ code }) => {
      if (!left) sink.onClosed(closingOf(code));
      left = true;
    };
    return {
      close: () => {
        left = true;
        line.close();
      },
      present: (sceneId) => say(sceneId === null ? { type: "presence" } : { type: "presence", sceneId }),
    };
  },
};
