// The package as a user installs it, in a folder of its own: its declarations are read under strict settings, with a page's
// types and without, and its code runs with and without the optional package webgpu.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDevice } from './helpers/webgpu.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
};
const device = await testDevice();

const page = `
import { compileForWebGpu, func, input, openDevice, type WebGpuDevice } from 'ashlar';
export async function doubled(gpu: GPU): Promise<Float32Array> {
  const x = input('x', [4]);
  const device: WebGpuDevice = await openDevice(gpu);
  const run = await compileForWebGpu(func({ inputs: [x], outputs: { y: x.mul(2) } }), { device });
  return (await run({ x: new Float32Array(4) })).y;
}
`;
const program = `
import { func, input } from 'ashlar';
import { compile } from 'ashlar/node';
declare const console: { log(text: string): void };
const x = input('x', [4]);
const double = func({ inputs: [x], outputs: { y: x.mul(2) } });
const given = { x: Float32Array.of(1, 2, 3, 4) };
const inJs = await compile(double, { target: 'js' });
const y: Float32Array = inJs(given).y;
console.log(y.join(' '));
try {
  const onGpu = await compile(double, { target: 'wgsl' });
  console.log((await onGpu(given)).y.join(' '));
} catch (error) {
  console.log(String(error));
}
`;

let folder = '';
const installed = (name: string): string => join(folder, 'node_modules', name);

function install(name: string): void {
  mkdirSync(dirname(installed(name)), { recursive: true });
  symlinkSync(join(project, 'node_modules', name), installed(name));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-package-'));
  for (const name of Object.keys(manifest.dependencies)) install(name);
  mkdirSync(installed('ashlar'), { recursive: true });
  cpSync(join(project, 'package.json'), join(installed('ashlar'), 'package.json'));
  const { bundle } = (await import(pathToFileURL(join(project, 'scripts/bundle.mjs')).href)) as {
    bundle(directory: string): Promise<void>;
  };
  await bundle(join(installed('ashlar'), 'dist'));
  const tsc = join(project, 'node_modules/typescript/bin/tsc');
  const options = ['-p', 'tsconfig.build.json', '--outDir', join(installed('ashlar'), 'dist')];
  const { stdout } = spawnSync(process.execPath, [tsc, ...options], { cwd: project, encoding: 'utf8' });
  expect(stdout).toBe('');
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'page.ts'), page);
  writeFileSync(join(folder, 'program.ts'), program);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

function diagnostics(lib: readonly string[]): string[] {
  const options: ts.CompilerOptions = {
    strict: true,
    skipLibCheck: false,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: lib.map((name) => `lib.${name}.d.ts`),
    types: [],
    outDir: folder,
  };
  const files = ['page.ts', 'program.ts'].map((name) => join(folder, name));
  const compiled = ts.createProgram(files, options);
  compiled.emit();
  return ts.getPreEmitDiagnostics(compiled).map(({ file, messageText }) => {
    return `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}

/** What the user's program prints, by plain Node. */
function printed(): string[] {
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, 'program.js')], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}

describe('the package', () => {
  it.each([
    ['with the types of a page', ['es2023', 'dom']],
    ['without them, and without those of Node', ['es2023']],
  ])('type-checks under strict settings %s', (_title, lib) => {
    expect(diagnostics(lib)).toEqual([]);
  });

  it('runs without the package webgpu, and says what target wgsl needs', () => {
    expect(manifest.peerDependenciesMeta.webgpu).toEqual({ optional: true });
    const [first, second] = printed();
    expect(first).toBe('2 4 6 8');
    expect(second).toMatch(/^UserError: WebGPU in Node needs the package webgpu \(npm install webgpu\)/);
  });

  it.skipIf(typeof device === 'string')('runs on WebGPU with it', () => {
    install('webgpu');
    expect(printed()).toEqual(['2 4 6 8', '2 4 6 8']);
  });
});
