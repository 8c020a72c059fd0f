// Runs the client's unit tests; apart from the build's config, which an install without development tools reads.
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["tests/**/*.test.{ts,tsx}"] } });
