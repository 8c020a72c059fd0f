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

function guard(method: "createElement" | "createElementNS", place: number): void {
  const original = Document.prototype[method] as (...given: unknown[]) => Element;
  const guarded = function (this: Document, ...given: unknown[]): Element {
    const name = String(given[place]);
    if (PAGE.test(name)) throw new Error("A scene cannot hold another page");
    return original.apply(this, given.with(place, name));
  };
  Object.defineProperty(Document.prototype, method, { value: guarded, writable: false, configurable: false });
}
let policy: Policy | undefined;

/** To be called before anything of a scene can run. */
export function lock(): void {
  for (const name of GONE) Object.defineProperty(globalThis, name, { value: undefined });
  guard("createElement", 0);
  guard("createElementNS", 1);
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
