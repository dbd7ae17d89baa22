// The bundles of the package: the core, what needs Node, and the command, which share their chunks. Tests make them too.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const common = {
  absWorkingDir: join(dirname(fileURLToPath(import.meta.url)), '..'),
  bundle: true,
  format: 'esm',
  target: 'es2023',
  logLevel: 'warning',
};

/**
 * Writes the bundles into a folder from which Node finds the package's dependencies. Without source maps: where Node or tsx
 * applies them, frames of Ashlar would seem to lie in folders that are not its own, and a value's position is the first
 * frame outside.
 */
export async function bundle(outdir) {
  await build({
    ...common,
    entryPoints: ['src/index.ts', 'src/onnx.ts', 'src/node.ts', 'src/cli.ts'],
    outdir,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    platform: 'node',
    packages: 'external',
  });
}

/** The core and the ONNX reader for a browser, where an import of Node would not resolve: that is the check. */
export async function bundleForBrowser() {
  const entryPoints = ['src/index.ts', 'src/onnx.ts'];
  await build({ ...common, entryPoints, platform: 'browser', write: false, outdir: 'dist' });
}
