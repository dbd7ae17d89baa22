import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: {
      'ashlar/node': new URL('./src/node.ts', import.meta.url).pathname,
      ashlar: new URL('./src/index.ts', import.meta.url).pathname,
    },
  },
  test: { include: ['test/**/*.test.ts'], testTimeout: 120_000 },
});
