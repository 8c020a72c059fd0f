// Takes from the frame what its policy cannot forbid: peer connections, and inner frames that would bring fresh ones.
// A policy has no word on WebRTC, and none on frames without an address. So no scene may make an element that holds a
// page, neither by name nor from markup; the policy sends all markup through the one function here.

interface Policy {
  createScript(code: string): string;
}
interface Policies {
  createPolicy(name: string, rules: Record<string, (text: string, type: string, sink: string) => string | null>): Policy;
}

const NAME = "(?:[^\\s<>/]*:)?(?:i?frame|frameset|fencedframe|object|embed|portal)";
const PAGE = new RegExp(`^${NAME}$`, "i");
const MARKUP_WITH_PAGE = new RegExp(`<${NAME}\\b`, "i");
const MARKUP_SINKS = /^(Element|ShadowRoot|Document) (innerHTML|outerHTML|insertAdjacentHTML)$/;
const GONE = ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel", "WebTransport", "XSLTProcessor"];

const { apply } = Reflect; // as they are now: a scene may put others in their place
const { createElement, createElementNS } = globalThis.Document?.prototype ?? {};

function harmless(tag: unknown): string {
  const name = `${tag}`;
  if (PAGE.test(name)) throw new Error("A scene cannot hold another page");
  return name;
}

function guardElements(): void {
  const guarded = {
    createElement(this: Document, tag: unknown, options?: unknown) {
      return apply(createElement, this, [harmless(tag), options]) as Element;
    },
    createElementNS(this: Document, space: unknown, tag: unknown, options?: unknown) {
      return apply(createElementNS, this, [space, harmless(tag), options]) as Element;
    },
  };
  Object.freeze(RegExp.prototype);
  for (const [name, value] of Object.entries(guarded)) Object.defineProperty(Document.prototype, name, { value });
  Object.defineProperty(CustomElementRegistry.prototype, "define", { value: undefined }); // it could extend a frame
}

let policy: Policy | undefined;

/** To be called before anything of a scene can run. */
export function lock(): void {
  for (const name of GONE) Object.defineProperty(globalThis, name, { value: undefined });
  guardElements();
  const { trustedTypes } = globalThis as { trustedTypes?: Policies };
  trustedTypes?.createPolicy("default", {
    createHTML: (text, _type, sink) => (MARKUP_SINKS.test(sink) && !MARKUP_WITH_PAGE.test(text) ? text : null),
  });
  policy = trustedTypes?.createPolicy("reelroom", { createScript: (code) => code });
}

/** Runs a script as the body of a function with parameters of these names. */
export function run(script: string, names: string[], values: unknown[]): void {
  const code = `(function (${names.join(", ")}) {\n${script}\n})`;
  const made = (0, eval)((policy?.createScript(code) ?? code) as string) as (...given: unknown[]) => void;
  made(...values);
}
