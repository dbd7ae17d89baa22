import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: {
      'ashlar/node': fileURLToPath(new URL('./src/node.ts', import.meta.url)),
      'ashlar/onnx': fileURLToPath(new URL('./src/onnx.ts', import.meta.url)),
      ashlar: fileURLToPath(new URL('./src/index.ts', import.meta.url)),
    },
  },
  // Vitest would leave one core to itself: half of a machine that has two.
  test: { include: ['test/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 120_000, maxWorkers: '100%' },
});
