// Builds the studio itself: index.html and hashed files under assets/, nothing inline (the page's CSP forbids it).
import { defineConfig } from "vite";

const server = process.env.REELROOM_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig({
  build: { outDir: "dist", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // In development the pages come from Vite, everything else (the built preview frame too) from a running server.
  server: { proxy: { "/api": server, "/preview": server, "/login": server } },
});
