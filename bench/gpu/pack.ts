// npm run bench gpu-pack: everything that measurements on a card need, in .gpu/, for a Linux machine (x86-64) that has
// nothing but an NVIDIA driver and python3 with PyTorch, and no network: Node, Dawn, the Vulkan loader and the bundled
// programs. There: .gpu/run --out FOLDER.

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { progress } from '../measure.ts';
import { benchPackage } from '../packages.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const folder = join(root, '.gpu');

/** Programs that are processes of their own in the pack, by their names there. */
const programs = {
  main: 'main.ts',
  operations: 'operations.ts',
  matmul: 'matmul.ts',
  bandwidth: 'bandwidth.ts',
  networks: 'networks.ts',
  'network-side': '../peers/timed-side.ts',
};

/** Where a machine with Debian's libvulkan1 has the loader; the folder is named after the architecture. */
const installedLoader = '/usr/lib/x86_64-linux-gnu/libvulkan.so.1';

export async function gpuPack(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(
      `the pack is made of this machine's Node, which has to be of linux x64, not ${process.platform} ${process.arch}`,
    );
  for (const name of ['@tensorflow/tfjs-core', '@jax-js/jax']) benchPackage(name);
  rmSync(join(folder, 'program'), { recursive: true, force: true });
  mkdirSync(join(folder, 'program'), { recursive: true });
  progress('bundling');
  await bundle();
  copyFileSync(join(here, 'torch_side.py'), join(folder, 'program/torch_side.py'));
  copyFileSync(join(here, 'run.sh'), join(folder, 'run'));
  execFileSync('chmod', ['+x', join(folder, 'run')]);
  progress('packing Node, Dawn and the Vulkan loader');
  compress(process.execPath, 'node');
  compress(
    join(dirname(createRequire(import.meta.url).resolve('webgpu/package.json')), 'dist/linux-x64/dawn.node'),
    'dawn.node',
  );
  compress(vulkanLoader(), 'libvulkan.so.1');
  const bytes = sizeOf(folder);
  return `.gpu/ has ${(bytes / 1e6).toFixed(1)} MB. Copy it to a machine with a card, and run .gpu/run --out FOLDER there (--help tells more).`;
}

async function bundle(): Promise<void> {
  await build({
    absWorkingDir: here,
    entryPoints: Object.entries(programs).map(([out, entry]) => ({ in: join(here, entry), out })),
    outdir: join(folder, 'program'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Modules rather than CommonJS, which import() would wrap.
    mainFields: ['module', 'main'],
    logLevel: 'error',
    tsconfig: join(root, 'tsconfig.json'),
    // Node's compiler has no part in it, and the libraries of others are loaded by require.
    external: ['koffi'],
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    plugins: [standIns],
  });
}

/** What the pack brings under another name: Dawn without its package, and tests without their runner. */
const standIns: Plugin = {
  name: 'stand-ins',
  setup({ onResolve }) {
    const replace = (filter: RegExp, file: string): void => onResolve({ filter }, () => ({ path: join(here, file) }));
    replace(/^webgpu$/, 'packed-dawn.ts');
    replace(/\/node-gpu\.ts$/, 'packed-gpu.ts');
    replace(/^vitest$/, 'test-runner.ts');
  },
};

/** Node takes a minute to compress, so what is packed already stays. */
function compress(file: string, name: string): void {
  const target = join(folder, `${name}.xz`);
  if (existsSync(target) && statSync(target).mtimeMs > statSync(file).ctimeMs) return;
  writeFileSync(target, execFileSync('xz', ['-T0', '-6', '-c', file], { maxBuffer: 2 ** 30 }));
}

/** The loader of this machine, or out of Debian's package. */
function vulkanLoader(): string {
  if (existsSync(installedLoader)) return installedLoader;
  const scratch = mkdtempSync(join(tmpdir(), 'ashlar-vulkan-'));
  try {
    execFileSync('apt-get', ['download', '-q', 'libvulkan1'], { cwd: scratch, stdio: 'ignore' });
  } catch {
    throw new Error('there is no Vulkan loader to pack: install libvulkan1, or let apt-get download it');
  }
  const deb = readdirSync(scratch).find((file) => file.endsWith('.deb'))!;
  execFileSync('dpkg', ['-x', join(scratch, deb), scratch]);
  return join(scratch, installedLoader);
}

function sizeOf(path: string): number {
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
