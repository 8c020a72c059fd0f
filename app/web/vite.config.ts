// Builds the studio: index.html and hashed files under assets/, without inline scripts (the page's CSP forbids them).
import { defineConfig } from "vite";

const server = process.env.REELROOM_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig({
  build: { outDir: "dist", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // In development the pages come from Vite, and everything else, the built preview frame included, from a running server.
  server: { proxy: { "/api": server, "/preview": server, "/login": server } },
});
