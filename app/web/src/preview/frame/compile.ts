// Compiles the TSX of a scene to a component, inside the frame, and runs it with the modules that a scene may import.
import * as React from "react";
import * as jsxRuntime from "react/jsx-runtime";
import { transform } from "sucrase";
import * as remotion from "../../remotion";
import { run } from "./lock";

export type SceneComponent = React.ComponentType<Record<string, unknown>>;

const asModule = (names: object) => ({ ...names, default: names, __esModule: true });

const MODULES: Record<string, unknown> = {
  react: asModule(React),
  "react/jsx-runtime": asModule(jsxRuntime),
  remotion: asModule(remotion),
};

function load(name: string): unknown {
  const found = MODULES[name];
  if (found === undefined) throw new Error(`A scene can import "react" and "remotion"; there is no "${name}" here`);
  return found;
}

/** Whether a value is a function, or an object made by memo() or forwardRef(). */
function isComponent(value: unknown): value is SceneComponent {
  if (typeof value === "function") return true;
  return typeof value === "object" && value !== null && "$$typeof" in value && !React.isValidElement(value);
}

/** Return the default export, or the only component among the named exports. */
function chooseComponent(exported: Record<string, unknown>): SceneComponent {
  if (isComponent(exported.default)) return exported.default;
  const named = Object.entries(exported).filter(([name, value]) => /^[A-Z]/.test(name) && isComponent(value));
  const [only] = named;
  if (only === undefined) throw new Error("The scene exports no component");
  if (named.length > 1) throw new Error(`Which one is the scene? Export one of ${named.map(([n]) => n).join(", ")} as default`);
  return only[1] as SceneComponent;
}

function BlankScene() {
  return React.createElement(
    remotion.AbsoluteFill,
    { style: { background: "#14161d", color: "#6b7186", alignItems: "center", justifyContent: "center", font: "500 56px system-ui, sans-serif" } },
    "Blank scene",
  );
}

/** Compile a scene; throws what the compiler or the scene's top-level code throws. */
export function compile(code: string): SceneComponent {
  if (code.trim() === "") return BlankScene;
  const { code: script } = transform(code, {
    transforms: ["typescript", "jsx", "imports"],
    jsxRuntime: "automatic",
    production: true,
  });
  const module = { exports: {} as Record<string, unknown> };
  run(script, ["require", "module", "exports"], [load, module, module.exports]);
  return chooseComponent(module.exports);
}

// Scenes may also read these as globals, without an import.
Object.assign(globalThis, { React, Remotion: remotion });
