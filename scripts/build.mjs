// Builds the package into dist/: two bundles (the core and what needs Node) that share their chunks, and declarations.
// The core is bundled once more for a browser, where an import of Node would not resolve: that is the check.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

/** What an earlier build left goes; what examples wrote under dist/ (dist/demo) stays. */
function removeEarlierBuild() {
  mkdirSync(dist, { recursive: true });
  for (const entry of readdirSync(dist, { withFileTypes: true })) {
    if (entry.name !== 'demo') rmSync(join(dist, entry.name), { recursive: true });
  }
}

async function bundle() {
  const common = { absWorkingDir: root, bundle: true, format: 'esm', target: 'es2023', logLevel: 'warning' };
  await build({
    ...common,
    entryPoints: ['src/index.ts', 'src/node.ts'],
    outdir: dist,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    platform: 'node',
    packages: 'external',
    sourcemap: true,
  });
  await build({ ...common, entryPoints: ['src/index.ts'], platform: 'browser', write: false });
}

function declarations() {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

removeEarlierBuild();
await bundle();
declarations();
