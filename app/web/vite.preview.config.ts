// Builds the preview frame as one HTML file that contains its script: the frame has an opaque origin, so it can load
// nothing from the server, not even its own assets.
import { defineConfig, type Plugin } from "vite";

/** Put the only script of the page into it, and emit no other file. */
function inline(): Plugin {
  return {
    name: "reelroom-inline",
    enforce: "post",
    generateBundle(_options, bundle) {
      const page = bundle["preview.html"];
      const scripts = Object.values(bundle).filter((file) => file.type === "chunk");
      const [script] = scripts;
      if (page?.type !== "asset" || script === undefined || scripts.length > 1) {
        this.error("the preview must build to one page and one script");
      }
      // "</script" and "<!--" inside a string would end or swallow the element that holds it.
      const code = script.code.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
      const html = String(page.source).replace(/<script\b[^>]*\bsrc=[^>]*><\/script>/, "");
      page.source = html.replace("</body>", () => `<script>${code}</script>\n</body>`);
      delete bundle[script.fileName];
    },
  };
}

export default defineConfig({
  plugins: [inline()],
  publicDir: false,
  build: {
    outDir: "dist",
    emptyOutDir: false,
    modulePreload: false,
    rollupOptions: { input: "preview.html", output: { format: "iife" } },
  },
});
