// The demo and the MNIST example as a user runs them: processes of their own, from training to the exported C program, and
// for a few steps on the other targets.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDevice } from './helpers/webgpu.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const tsx = createRequire(import.meta.url).resolve('tsx/cli');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-demo-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function example(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [tsx, join(root, 'examples', name), ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
}

const device = await testDevice();
if (typeof device === 'string') process.stderr.write(`the demo on WebGPU is skipped: ${device}\n`);
const others = typeof device === 'string' ? (['js'] as const) : (['wgsl', 'js'] as const);
const all = ['c', ...others] as const;

describe('the demo', () => {
  let output = '';

  it('trains to at least 97% on held-out digits in under a minute', () => {
    const began = performance.now();
    const { status, stdout, stderr } = example('demo.ts', [folder]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(performance.now() - began).toBeLessThan(60_000);
    const accuracy = /([\d.]+)% of the held-out digits are read right/.exec(stdout)?.[1];
    expect(Number(accuracy)).toBeGreaterThanOrEqual(97);
    output = stdout;
  });

  it('shows one of each digit beside what the C program reads, most of them right', () => {
    const captions = [...output.matchAll(/(\d) \(([\d.]+)%\)(, is \d)?/g)];
    expect(captions.length).toBe(10);
    const right = captions.filter(([, label, , wrong], digit) => wrong === undefined && Number(label) === digit);
    expect(right.length).toBeGreaterThanOrEqual(9);
    expect(output).toMatch(/[░▒▓█]{2}/);
  });

  it('leaves C files that build without a warning', () => {
    expect(readdirSync(folder).sort()).toEqual([
      ...['CMakeLists.txt', 'README.md', 'digits', 'digits.c', 'digits.d.mts', 'digits.d.ts', 'digits.h'],
      ...['digits.json', 'digits.mjs', 'main.c', 'read.c'],
    ]);
    const strict = ['-std=c11', '-O1', '-Wall', '-Wextra', '-Werror', '-o', 'strict', 'read.c', 'digits.c', '-lm'];
    const { status, stderr } = spawnSync('cc', strict, { cwd: folder, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('without a C compiler says which package to install', () => {
    const { status, stderr, stdout } = example('demo.ts', [folder], { PATH: folder, ASHLAR_CC: '' });
    expect(stdout).toBe('');
    expect(stderr).toMatch(/no C compiler was found .* "apt-get install gcc"/);
    expect(status).toBe(1);
  });
});

const languages = { wgsl: 'WebGPU', js: 'JavaScript' };

describe('the demo in short', () => {
  const short = ['--epochs', '1', '--examples', '90', '--batch', '16'];
  let inC = '';
  beforeAll(() => {
    inC = example('demo.ts', [join(folder, 'c'), ...short]).stdout;
  });
  const readings = (output: string): string[] => output.match(/\d \([\d.]+%\)(, is \d)?/g)!;

  it.each(others)('trains on %s, and the C program made of it reads what that made in C reads', (target) => {
    const { stdout, stderr, status } = example('demo.ts', [join(folder, target), '--target', target, ...short]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain(`trained in one ${languages[target]} program`);
    const [found, wanted] = [readings(stdout), readings(inC)];
    expect(found.length).toBeGreaterThan(5);
    found.forEach((reading, i) => {
      const [[label, share], [wantedLabel, wantedShare]] = [reading, wanted[i]!].map((text) =>
        text.split(/[ (%]+/).map(Number),
      ) as [number[], number[]];
      expect(label).toBe(wantedLabel);
      expect(Math.abs(share! - wantedShare!)).toBeLessThan(0.5);
    });
  });

  it('an option that does not exist, a target that does not', () => {
    const wrong = example('demo.ts', ['--taget', 'js']);
    expect(wrong.stderr).toMatch(/^Unknown option '--taget'.* There are FOLDER, --target c\|wgsl\|js/);
    expect(wrong.status).toBe(1);
    const unknown = example('demo.ts', [folder, '--target', 'fortran']);
    expect(unknown.stderr).toBe(`target: 'c', 'wgsl' or 'js' expected, "fortran" given\n`);
    expect(unknown.status).toBe(1);
  });
});

/** Ten images and labels in the format of MNIST. */
function writeFewDigits(directory: string): void {
  const file = (name: string, header: readonly number[], body: Uint8Array) => {
    const bytes = Buffer.alloc(4 * header.length + body.length);
    header.forEach((word, i) => {
      bytes.writeUInt32BE(word, 4 * i);
    });
    bytes.set(body, 4 * header.length);
    writeFileSync(join(directory, name), gzipSync(bytes));
  };
  const pixels = Uint8Array.from({ length: 7840 }, (_, i) => (i * 37 + Math.floor(i / 784) * 101) % 256);
  file('t10k-images-idx3-ubyte.gz', [0x803, 10, 28, 28], pixels);
  file(
    't10k-labels-idx1-ubyte.gz',
    [0x801, 10],
    Uint8Array.from({ length: 10 }, (_, i) => i),
  );
}

describe('the MNIST example', () => {
  const losses: number[] = [];

  it.each(all)('takes a step on %s, with the loss that it has in C', (target) => {
    writeFewDigits(folder);
    const { stdout, stderr } = example('mnist.ts', [folder, '--target', target, '--epochs', '1', '--batch', '4']);
    expect(stderr).toBe('');
    expect(stdout).toContain(`(target ${target})`);
    const loss = Number(/loss ([\d.]+)/.exec(stdout)![1]);
    expect(loss).toBeGreaterThan(1);
    losses.push(loss);
    expect(Math.abs(loss / losses[0]! - 1)).toBeLessThan(0.01);
  });

  it('says what it needs where the images are not', () => {
    const { status, stderr } = example('mnist.ts', [root]);
    expect(stderr).toContain(`MNIST is not in ${root}: t10k-images-idx3-ubyte.gz expected there`);
    expect(status).toBe(1);
  });
});
