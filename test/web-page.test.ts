// The page of `npm run web` as its visitor meets it: a browser loads it, the network learns, and reads what is drawn with the
// mouse. And the module that it loads, with what a caller may do wrong.

import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { func, input, nn } from 'ashlar';
import { exportWeb } from 'ashlar/node';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digitsNet } from '../examples/models.ts';
import { serve, writePage } from '../examples/web.ts';
import { browserPath, openBrowser } from './helpers/browser.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(join(tmpdir(), 'ashlar-page-'));
let server: Server;
let address: string;

beforeAll(async () => {
  await writePage(folder);
  server = await serve(folder, 0);
  address = `http://localhost:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => {
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

it('has a browser where CI can install it', () => {
  expect(process.env.CI === undefined || browserPath !== undefined).toBe(true);
});

describe('the exported module', () => {
  it('has typings with which the page compiles', () => {
    const copy = mkdtempSync(join(root, 'node_modules/.cache/page-'));
    try {
      for (const file of ['page.ts', 'chart.ts', 'pad.ts'])
        copyFileSync(join(root, 'examples/web', file), join(copy, file));
      for (const file of ['digits.d.ts', 'software/digits.d.ts']) cpSync(join(folder, file), join(copy, file));
      const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
      const options = [
        '--ignoreConfig',
        '--noEmit',
        '--strict',
        '--noUncheckedIndexedAccess',
        '--allowImportingTsExtensions',
        '--skipLibCheck',
      ];
      const target = ['--target', 'es2023', '--lib', 'es2023,dom,dom.iterable', '--module', 'preserve'];
      const { stdout } = spawnSync(
        process.execPath,
        [tsc, ...options, ...target, '--types', '@webgpu/types', join(copy, 'page.ts')],
        { encoding: 'utf8' },
      );
      expect(stdout).toBe('');
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });

  it('is under 12 KB compressed for reading digits, the same bytes each time, and imports nothing', async () => {
    nn.setSeed(1);
    const network = digitsNet();
    const image = input('image', [1, 1, 8, 8]);
    const probabilities = nn.softmax(network(image, 'infer'), -1);
    const read = func({ name: 'read', inputs: [image], outputs: { probabilities } });
    const [first, again] = [join(folder, 'first'), join(folder, 'again')];
    const files = await exportWeb({ read }, { name: 'reader', directory: first });
    await exportWeb({ read }, { name: 'reader', directory: again });
    const code = readFileSync(files.module);
    expect(gzipSync(code).length).toBeLessThan(12_000);
    expect(code.toString()).not.toMatch(/^\s*import\b/m);
    for (const file of ['reader.js', 'reader.d.ts', 'reader.bin'])
      expect(readFileSync(join(again, file)).equals(readFileSync(join(first, file)))).toBe(true);
  });

  it('refuses names that cannot be', async () => {
    const x = input('x', [2]);
    const doubled = func({ name: 'doubled', inputs: [x], outputs: { y: x.mul(2) } });
    await expect(exportWeb({ doubled }, { name: '../up', directory: folder })).rejects.toThrow("a module's name is");
    for (const name of ['state', 'then'])
      await expect(exportWeb({ [name]: doubled }, { name: 'up', directory: folder })).rejects.toThrow(
        `a function of a module cannot be called ${name}; name it otherwise`,
      );
    await expect(exportWeb({}, { name: 'up', directory: folder })).rejects.toThrow('module up has no functions');
    const odd = input('__proto__', [2]);
    const proto = func({ inputs: [odd], outputs: { y: odd.exp() } });
    await expect(exportWeb({ proto }, { name: 'up', directory: folder })).rejects.toThrow(/cannot be called __proto__/);
  });
});

describe.skipIf(browserPath === undefined)('in a browser', () => {
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
  });
  afterAll(() => browser?.close());

  /** Draws a stroke on the pad through points from 0 to 1, with the mouse. */
  async function draw(points: readonly (readonly [number, number])[]): Promise<void> {
    await page.click('#clear');
    await page.waitForSelector('#answer:text-is("?")');
    const box = (await page.locator('#pad').boundingBox())!;
    const at = ([x, y]: readonly [number, number]): [number, number] => [box.x + x * box.width, box.y + y * box.height];
    await page.mouse.move(...at(points[0]!));
    await page.mouse.down();
    for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 3 });
    await page.mouse.up();
  }

  it('the page trains: the loss falls, and most digits held out are read', async () => {
    await page.goto(`${address}?epochs=2`);
    await page.waitForSelector('body[data-trained], #status.failed', { timeout: 500_000, state: 'attached' });
    expect(problems).toEqual([]);
    expect(await page.textContent('#status')).toMatch(/^Trained in/);
    expect(Number(await page.textContent('#loss-value'))).toBeLessThan(0.7);
    expect(Number.parseFloat((await page.textContent('#accuracy'))!)).toBeGreaterThan(85);
  });

  it('the page reads digits that the mouse draws', async () => {
    const circle = Array.from({ length: 25 }, (_, i): [number, number] => [
      0.5 + 0.2 * Math.sin((i / 24) * 2 * Math.PI),
      0.5 - 0.36 * Math.cos((i / 24) * 2 * Math.PI),
    ]);
    const digits: readonly (readonly [string, readonly (readonly [number, number])[]])[] = [
      ['0', circle],
      [
        '2',
        [
          [0.3, 0.3],
          [0.4, 0.15],
          [0.6, 0.15],
          [0.68, 0.32],
          [0.5, 0.6],
          [0.28, 0.85],
          [0.75, 0.85],
        ],
      ],
      [
        '3',
        [
          [0.3, 0.15],
          [0.6, 0.13],
          [0.68, 0.3],
          [0.5, 0.47],
          [0.7, 0.62],
          [0.65, 0.83],
          [0.3, 0.87],
        ],
      ],
    ];
    for (const [digit, points] of digits) {
      await draw(points);
      // The answer to the whole stroke, not to what it was on the way.
      await page.waitForSelector('#pad[aria-busy="false"]', { timeout: 60_000 });
      expect(await page.textContent('#answer')).toBe(digit);
    }
    const picture = await page.screenshot(
      process.env.ASHLAR_SCREENSHOT === undefined ? {} : { path: process.env.ASHLAR_SCREENSHOT },
    );
    expect(picture.length).toBeGreaterThan(20_000);
    expect(problems).toEqual([]);
  });

  it('the module says what is wrong with a call, with the weights, and with a lost device', async () => {
    const messages = (await page.evaluate(`(async () => {
      const { load } = await import('./software/digits.js');
      const adapter = await navigator.gpu.requestAdapter();
      const device = await adapter.requestDevice();
      const said = (call) => call.then(() => 'nothing', (error) => error.message);
      const network = await load(device);
      const image = new Float32Array(64);
      const found = {
        missing: await said(network.read({})),
        short: await said(network.read({ image: image.subarray(1) })),
        unknown: await said(network.read({ image, mask: image })),
        label: await said(network.train({ x: new Float32Array(2048), y: new Int32Array(32).fill(11) })),
        weights: await said(load(device, { weights: new ArrayBuffer(12) })),
        absent: await said(load(device, { weights: 'absent.bin' })),
      };
      device.destroy();
      await device.lost;
      return { ...found, lost: await said(network.read({ image })) };
    })()`)) as Record<'missing' | 'short' | 'unknown' | 'label' | 'weights' | 'absent' | 'lost', string>;
    expect(messages.missing).toBe('input "image" is f32[1,1,8,8]: Float32Array of 64 expected, nothing given');
    expect(messages.short).toBe('input "image" is f32[1,1,8,8]: Float32Array of 64 expected, Float32Array of 63 given');
    expect(messages.unknown).toBe('input "mask" does not exist; there are image');
    expect(messages.label).toBe('input "y": indices from 0 to 9 expected, 11 given');
    expect(messages.weights).toMatch(/^the weights of digits are \d+ bytes, 12 given$/);
    expect(messages.absent).toMatch(/the weights cannot be fetched: .*absent\.bin answers 404/);
    expect(messages.lost).toMatch(/the GPU device of digits is lost/);
  });
});
