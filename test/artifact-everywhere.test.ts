// One network from every artifact: called from C, C++ and Node, and from pages in a browser, served as the folders are or
// bundled by esbuild and Vite. All answer the same images with what the reference gives.

import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BuildOptions, build as bundle, transform } from 'esbuild';
import type { Browser } from 'playwright-core';
import ts from 'typescript';
import * as vite from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { func } from '../src/lang/func.ts';
import { input } from '../src/lang/variable.ts';
import * as nn from '../src/nn/index.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { exportJs } from '../src/runtime/export-js.ts';
import { exportWeb } from '../src/runtime/export-web.ts';
import {
  build,
  cppCaller,
  digits,
  digitsImage,
  digitsReference,
  printed,
  run,
  writeImage,
} from './helpers/artifact.ts';
import { browserPath, openBrowser } from './helpers/browser.ts';
import { expectClose } from './helpers/close.ts';
import { hasTool } from './helpers/tools.ts';

interface Answer {
  readonly label: ArrayLike<number>;
  readonly probabilities: ArrayLike<number>;
}

// Within the project, where modules find the package koffi.
const cache = fileURLToPath(new URL('../.cache', import.meta.url));
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'artifact-everywhere-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...names: string[]): string => join(folder, ...names);

const images = [
  digitsImage,
  Float32Array.from({ length: 64 }, (_, i) => ((i * 29) % 23) / 22),
  Float32Array.from({ length: 64 }, (_, i) => (i % 8 < 4 ? 1 : 0)),
];
const expected = images.map((image) => digitsReference(image));

/** A network of one layer in the digits network's place: its shaders are compiled in a tenth of the time. */
function small() {
  nn.resetNames();
  nn.setSeed(5);
  const image = input('image', [1, 1, 8, 8]);
  const logits = nn.dense(64, 10)(image.reshape([1, 64]));
  return func({
    name: 'digits',
    inputs: [image],
    outputs: { label: logits.argmax(-1), probabilities: nn.softmax(logits, -1) },
  });
}
const expectedOfSmall = images.map((image) => digitsReference(image, small()));

function expectAnswers(answers: readonly Answer[], expected: readonly ReturnType<typeof digitsReference>[]): void {
  expect(answers.map(({ label }) => Array.from(label))).toEqual(expected.map(({ label }) => [label]));
  answers.forEach(({ probabilities }, i) => {
    expectClose(probabilities, expected[i]!.probabilities, 1e-5);
  });
}

beforeAll(async () => {
  await exportC(digits(), { directory: at('c'), weights: 'file', cpu: 'plain' });
  await exportWeb({ read: digits() }, { name: 'digits', directory: at('web') });
  exportJs({ read: digits() }, { name: 'digits-js', directory: at('js') });
  await exportWeb({ read: small() }, { name: 'digits', directory: at('small-web') });
  exportJs({ read: small() }, { name: 'digits-js', directory: at('small-js') });
});

it('tells different images apart', () => {
  expect(new Set(expected.map(({ probabilities }) => Math.round(1e4 * probabilities[0]!))).size).toBe(3);
});

describe('C, compiled once', () => {
  beforeAll(() => {
    execFileSync('gcc', ['-std=c11', '-O1', '-fPIC', '-c', 'digits.c', '-o', 'digits.o'], { cwd: at('c') });
  });
  const answersOf = (binary: string): Answer[] =>
    images.map((image) => {
      const { stdout, status } = run(binary, [at('c', 'digits.weights'), writeImage(folder, image)]);
      expect(status).toBe(0);
      return printed(stdout) as unknown as Answer;
    });

  it('answers from C', () => {
    expectAnswers(answersOf(build(at('c'), 'gcc', ['-std=c11', '-O1'], ['main.c', 'digits.o'], 'example')), expected);
  });

  it.runIf(hasTool('g++'))('answers from C++', () => {
    writeFileSync(at('c', 'caller.cpp'), cppCaller);
    expectAnswers(answersOf(build(at('c'), 'g++', ['-std=c++17'], ['caller.cpp', 'digits.o'], 'caller')), expected);
  });

  it('answers from Node', async () => {
    build(
      at('c'),
      'gcc',
      ['-shared'],
      ['digits.o'],
      process.platform === 'darwin' ? 'libdigits.dylib' : 'libdigits.so',
    );
    const { load } = await import(pathToFileURL(at('c', 'digits.mjs')).href);
    const network = await load();
    expectAnswers(
      images.map((image) => network.run({ image })),
      expected,
    );
  });
});

describe('the folders of modules', () => {
  it('answer from Node in JavaScript', async () => {
    const { load } = await import(pathToFileURL(at('js', 'digits-js.mjs')).href);
    const network = await load();
    expectAnswers(
      images.map((image) => network.read({ image })),
      expected,
    );
  });

  const codeOf = (page: string): string => /```js\n([^`]*)```/.exec(page)![1]!;

  it('have a page, whose program runs', () => {
    const page = readFileSync(at('js', 'README.md'), 'utf8');
    writeFileSync(at('js', 'program.mjs'), codeOf(page));
    const printedKeys = execFileSync(process.execPath, [at('js', 'program.mjs')], { encoding: 'utf8' });
    expect(printedKeys).toBe("[ 'label', 'probabilities' ]\n");
    expect(codeOf(page)).toContain('// label, probabilities');
    expect(page).toContain('| `read` | input | `image` | `Float32Array` | 1 × 1 × 8 × 8 |');
    expect(codeOf(readFileSync(at('web', 'README.md'), 'utf8'))).toContain(
      'await network.read({ image: new Float32Array(64) })',
    );
  });

  it('do not take the place of a page that somebody wrote', async () => {
    mkdirSync(at('site'));
    writeFileSync(at('site', 'README.md'), '# My site\n');
    const refused = /README.md is not Ashlar's and would be lost/;
    await expect(exportWeb({ read: digits() }, { name: 'digits', directory: at('site') })).rejects.toThrow(refused);
    expect(() => exportJs({ read: digits() }, { name: 'digits', directory: at('site') })).toThrow(refused);
    await expect(exportC(digits(), { directory: at('site') })).rejects.toThrow(refused);
    expect(readFileSync(at('site', 'README.md'), 'utf8')).toBe('# My site\n');
  });
});

/** A page's program: both modules on the same images. */
const main = `import { load as loadJs } from './digits-js.mjs';
import { type Digits, load } from './digits.js';
import { js, web } from './weights.js';

interface Answer {
  label: number[];
  probabilities: number[];
}

const plain = ({ label, probabilities }: Awaited<ReturnType<Digits['read']>>): Answer => ({
  label: Array.from(label),
  probabilities: Array.from(probabilities),
});

async function answers(images: readonly number[][]): Promise<{ web: Answer[]; js: Answer[]; arrived: number }> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) throw new Error('no adapter');
  let arrived = 0;
  const onDevice = await load(await adapter.requestDevice(), { ...web, onProgress: (loaded, total) => (arrived = loaded / total) });
  const inScript = await loadJs(js);
  const found = { web: [] as Answer[], js: [] as Answer[], arrived };
  for (const pixels of images) {
    const image = Float32Array.from(pixels);
    found.web.push(plain(await onDevice.read({ image })));
    found.js.push(plain(inScript.read({ image })));
  }
  onDevice.destroy();
  return found;
}

Object.assign(globalThis, { answers });
`;
const html = (script: string): string =>
  `<!doctype html><html lang="en"><head><title>digits</title><link rel="icon" href="data:,">${script}</head></html>`;

const bySelf = 'export const web = {};\nexport const js = {};\n';
const byAddress = `import webFile from './digits.bin';
import jsFile from './digits-js.bin';
export const web = { weights: new URL(webFile, import.meta.url) };
export const js = { weights: new URL(jsFile, import.meta.url) };
`;
const inBundle = `import webBytes from './digits.bin';
import jsBytes from './digits-js.bin';
export const web = { weights: webBytes };
export const js = { weights: jsBytes };
`;
const asWritten = "export const web = { weights: 'digits.bin' };\nexport const js = { weights: 'digits-js.bin' };\n";

describe('the typings of modules', () => {
  const program = `import { type Digits, load } from './digits.js';
import { load as loadJs } from './digits-js.mjs';
export async function read(device: GPUDevice, image: Float32Array): Promise<Int32Array> {
  const onDevice: Digits = await load(device, { onProgress: (loaded, total) => loaded / total });
  const inScript = await loadJs({ weights: new ArrayBuffer(8) });
  const probabilities: Float32Array = inScript.read({ image }, { probabilities: new Float32Array(10) }).probabilities;
  // @ts-expect-error images are of floats
  await onDevice.read({ image: new Int32Array(64) });
  // @ts-expect-error it has no such output
  inScript.read({ image: probabilities }).logits;
  // @ts-expect-error it keeps no states
  inScript.state.set('w', image);
  return (await onDevice.read({ image })).label;
}
`;
  const strict: ts.CompilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    isolatedModules: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    noEmit: true,
    types: [],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };

  it.each([
    ['with the types of a page', ['es2023', 'dom'], []],
    ['with those of Node', ['es2023'], ['node']],
    ['without either', ['es2023'], []],
  ])('read under strict settings %s', (_title, lib, types) => {
    const place = at('typed');
    for (const artifact of ['web', 'js']) cpSync(at(artifact), place, { recursive: true });
    writeFileSync(join(place, 'program.ts'), program);
    writeFileSync(join(place, 'main.ts'), main);
    writeFileSync(join(place, 'weights.ts'), bySelf);
    const names = ['program.ts', 'digits.d.ts', 'digits-js.d.mts', ...(lib.includes('dom') ? ['main.ts'] : [])];
    const compiled = ts.createProgram(
      names.map((name) => join(place, name)),
      { ...strict, types, lib: lib.map((name) => `lib.${name}.d.ts`) },
    );
    // Only of these files: what merges badly with a library's types is reported in them too.
    const found = names.flatMap((name) =>
      ts.getPreEmitDiagnostics(compiled, compiled.getSourceFile(join(place, name))),
    );
    expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([]);
  });
});

interface Case {
  readonly name: string;
  /** The digits network, or the small one in its place. */
  readonly network: 'digits' | 'small';
  /** Makes the page's folder ready to be served, and says which part of it is the page. */
  readonly make: (place: string) => Promise<string>;
}

const folderOf = ({ name }: Pick<Case, 'name'>): string => name.replaceAll(/\W+/g, '-');

/** The page's sources in a folder of their own. */
function sources(page: Pick<Case, 'name' | 'network'>): string {
  const place = at('pages', folderOf(page));
  for (const artifact of ['web', 'js'])
    cpSync(at(page.network === 'small' ? `small-${artifact}` : artifact), place, { recursive: true });
  writeFileSync(join(place, 'main.ts'), main);
  writeFileSync(join(place, 'weights.ts'), bySelf);
  writeFileSync(join(place, 'index.html'), html('<script type="module" src="./main.ts"></script>'));
  return place;
}

async function withoutBundler(place: string): Promise<string> {
  for (const file of ['main', 'weights']) {
    const { code } = await transform(readFileSync(join(place, `${file}.ts`), 'utf8'), { loader: 'ts' });
    writeFileSync(join(place, `${file}.js`), code);
  }
  writeFileSync(join(place, 'index.html'), html('<script type="module" src="./main.js"></script>'));
  return '';
}

async function byVite(root: string): Promise<string> {
  await vite.build({ root, configFile: false, logLevel: 'warn', base: './' });
  return 'dist/';
}

const byEsbuild =
  (weights: string, options: BuildOptions, copied: readonly string[] = []) =>
  async (place: string): Promise<string> => {
    writeFileSync(join(place, 'weights.ts'), weights);
    const common = { bundle: true, minify: true, format: 'esm', logLevel: 'warning' } as const;
    await bundle({ ...common, entryPoints: [join(place, 'main.ts')], outdir: join(place, 'out'), ...options });
    for (const file of copied) copyFileSync(join(place, file), join(place, 'out', file));
    const kind = options.format === 'iife' ? 'defer' : 'type="module"';
    writeFileSync(join(place, 'out', 'index.html'), html(`<script ${kind} src="./main.js"></script>`));
    return 'out/';
  };

const files = ['digits.bin', 'digits-js.bin'];
const iife = {
  format: 'iife',
  // The address that the script does not have is never asked for.
  logOverride: { 'empty-import-meta': 'silent' },
} as const;
const pages: readonly Case[] = [
  { name: 'served as they are', network: 'digits', make: withoutBundler },
  { name: 'built by Vite', network: 'digits', make: byVite },
  { name: 'built by Vite, which takes small weights into the bundle', network: 'small', make: byVite },
  { name: 'bundled by esbuild, weights copied beside', network: 'digits', make: byEsbuild(bySelf, {}, files) },
  {
    name: 'bundled by esbuild, weights by its file loader',
    network: 'small',
    make: byEsbuild(byAddress, { loader: { '.bin': 'file' } }),
  },
  {
    name: 'bundled by esbuild, weights in the bundle',
    network: 'small',
    make: byEsbuild(inBundle, { loader: { '.bin': 'binary' } }),
  },
  {
    name: 'bundled by esbuild as a script, weights at an address',
    network: 'small',
    make: byEsbuild(asWritten, iife, files),
  },
];

describe.skipIf(browserPath === undefined)('modules in a browser', () => {
  let browser: Browser;
  let server: vite.PreviewServer;
  let developing: vite.ViteDevServer | undefined;
  beforeAll(async () => {
    mkdirSync(at('pages'));
    const quiet = { configFile: false, logLevel: 'warn', appType: 'mpa' } as const;
    server = await vite.preview({ ...quiet, root: folder, build: { outDir: 'pages' } });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await developing?.close();
  });

  async function expectPage(address: string, expected = expectedOfSmall): Promise<void> {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('console', (message) => problems.push(...(message.type() === 'error' ? [message.text()] : [])));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('response', (response) =>
      problems.push(...(response.ok() ? [] : [`${response.url()} ${response.status()}`])),
    );
    await page.goto(address);
    await page.waitForFunction('"answers" in globalThis').catch(() => problems.push('no answers'));
    expect(problems).toEqual([]);
    const given = JSON.stringify(images.map((image) => Array.from(image)));
    const found = await page.evaluate<{ web: Answer[]; js: Answer[] }>(`answers(${given})`);
    expect(problems).toEqual([]);
    expectAnswers(found.web, expected);
    expectAnswers(found.js, expected);
    await page.close();
  }

  it.each(pages)('answer $name', async (page) => {
    const part = await page.make(sources(page));
    const address = `${server.resolvedUrls!.local[0]}${folderOf(page)}/${part}`;
    await expectPage(address, page.network === 'small' ? expectedOfSmall : expected);
  });

  it("answer from Vite's server for developers", async () => {
    const root = sources({ name: 'developing', network: 'small' });
    const quiet = { configFile: false, logLevel: 'warn' } as const;
    developing = await vite.createServer({ ...quiet, root, server: { watch: null } });
    await developing.listen();
    await expectPage(developing.resolvedUrls!.local[0]!);
  });
});

it('has a browser where CI can install it', () => {
  expect(process.env.CI === undefined || browserPath !== undefined).toBe(true);
});
