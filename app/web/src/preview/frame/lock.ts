// Removes from the frame what its Content Security Policy cannot forbid: peer connections, and inner frames, which would
// have peer connections of their own. The policy does not cover WebRTC or frames without an address. So no scene may
// create an element that holds a page, by its name or in markup; trusted types send all markup through `createHTML` below.

interface Policy {
  createScript(code: string): string;
}
interface Policies {
  createPolicy(name: string, rules: Record<string, (text: string, type: string, sink: string) => string | null>): Policy;
}

const PAGE_ELEMENT = "(?:[^\\s<>/]*:)?(?:i?frame|frameset|fencedframe|object|embed|portal)";
const PAGE_ELEMENT_NAME = new RegExp(`^${PAGE_ELEMENT}$`, "i");
const MARKUP_WITH_PAGE = new RegExp(`<${PAGE_ELEMENT}\\b`, "i");
const MARKUP_SINKS = /^(Element|ShadowRoot|Document) (innerHTML|outerHTML|insertAdjacentHTML)$/;
const REMOVED_GLOBALS = ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel", "WebTransport", "XSLTProcessor"];

const { apply } = Reflect; // kept, since a scene may replace them
const { createElement, createElementNS } = globalThis.Document?.prototype ?? {};

function checkedTagName(tag: unknown): string {
  const name = `${tag}`;
  if (PAGE_ELEMENT_NAME.test(name)) throw new Error("A scene cannot hold another page");
  return name;
}

function guardElements(): void {
  const guarded = {
    createElement(this: Document, tag: unknown, options?: unknown) {
      return apply(createElement, this, [checkedTagName(tag), options]) as Element;
    },
    createElementNS(this: Document, space: unknown, tag: unknown, options?: unknown) {
      return apply(createElementNS, this, [space, checkedTagName(tag), options]) as Element;
    },
  };
  Object.freeze(RegExp.prototype);
  for (const [name, value] of Object.entries(guarded)) Object.defineProperty(Document.prototype, name, { value });
  Object.defineProperty(CustomElementRegistry.prototype, "define", { value: undefined }); // a custom element could extend a frame
}

let policy: Policy | undefined;

/** Must be called before any code of a scene can run. */
export function lock(): void {
  for (const name of REMOVED_GLOBALS) Object.defineProperty(globalThis, name, { value: undefined });
  guardElements();
  const { trustedTypes } = globalThis as { trustedTypes?: Policies };
  trustedTypes?.createPolicy("default", {
    createHTML: (text, _type, sink) => (MARKUP_SINKS.test(sink) && !MARKUP_WITH_PAGE.test(text) ? text : null),
  });
  policy = trustedTypes?.createPolicy("reelroom", { createScript: (code) => code });
}

/** Run a script as the body of a function with these parameter names and values. */
export function run(script: string, names: string[], values: unknown[]): void {
  const code = `(function (${names.join(", ")}) {\n${script}\n})`;
  const compiled = (0, eval)((policy?.createScript(code) ?? code) as string) as (...given: unknown[]) => void;
  compiled(...values);
}
