// Runs the client's tests. Separate from the build's config, which an install without development tools also reads.
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["tests/**/*.test.{ts,tsx}"] } });
