// The stream over a WebSocket; the only transport on which a client can send something.
import { readEvent } from "./events";
import { pathOf, type Closing, type Transport } from "./transport";

const SUBPROTOCOL = "reelroom.v1.json";
const RESTARTING = 1012;
const REVOKED = [4401, 4403, 4404]; // unauthorised, role lost, no such project

/** What a close code means. */
export function closingOf(code: number): Closing {
  if (code === RESTARTING) return { kind: "restart" };
  return { kind: REVOKED.includes(code) ? "revoked" : "lost" };
}

export const socket: Transport = {
  name: "socket",
  connect(projectId, after, sink) {
    const url = new URL(pathOf(projectId, "socket"), globalThis.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const webSocket = new WebSocket(url, SUBPROTOCOL);
    let closed = false;
    const send = (frame: object) => {
      if (webSocket.readyState === WebSocket.OPEN) webSocket.send(JSON.stringify(frame));
    };
    webSocket.onopen = () => send(after === null ? { type: "hello" } : { type: "hello", after });
    webSocket.onmessage = ({ data }) => {
      if (!closed) sink.onEvent(typeof data === "string" ? readEvent(data) : null);
    };
    webSocket.onclose = ({ code }) => {
      if (!closed) sink.onClosed(closingOf(code));
      closed = true;
    };
    return {
      close: () => {
        closed = true;
        webSocket.close();
      },
      present: (sceneId) => send(sceneId === null ? { type: "presence" } : { type: "presence", sceneId }),
    };
  },
};
