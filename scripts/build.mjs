// Builds the package into dist/: its bundles and declarations.

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle, bundleForBrowser } from './bundle.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

/** What an earlier build left goes; what examples wrote under dist/ (dist/demo) stays. */
function removeEarlierBuild() {
  mkdirSync(dist, { recursive: true });
  for (const entry of readdirSync(dist, { withFileTypes: true })) {
    if (entry.name !== 'demo') rmSync(join(dist, entry.name), { recursive: true });
  }
}

function declarations() {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

removeEarlierBuild();
await bundle(dist);
chmodSync(join(dist, 'cli.js'), 0o755);
await bundleForBrowser();
declarations();
