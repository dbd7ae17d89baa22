// The demo as a user runs it: a process of its own, from training to the exported C program.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

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
      ...['CMakeLists.txt', 'README.md', 'digits', 'digits.c', 'digits.h', 'digits.json', 'main.c', 'read.c'],
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

describe('the MNIST example', () => {
  it('says what it needs where the images are not', () => {
    const { status, stderr } = example('mnist.ts', [folder]);
    expect(stderr).toContain(`MNIST is not in ${folder}: t10k-images-idx3-ubyte.gz expected there`);
    expect(status).toBe(1);
  });
});
