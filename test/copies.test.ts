// Two copies of Ashlar in one program, as two versions of a dependency bring them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as ashlar from 'ashlar';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-copy-'));
let other: typeof ashlar;
beforeAll(async () => {
  const outfile = join(folder, 'index.mjs');
  const entry = fileURLToPath(new URL('../src/index.ts', import.meta.url));
  await build({ entryPoints: [entry], outfile, bundle: true, format: 'esm', target: 'es2023', logLevel: 'error' });
  other = (await import(/* @vite-ignore */ pathToFileURL(outfile).href)) as typeof ashlar;
});
afterAll(() => rmSync(folder, { recursive: true }));

it('what one made and the other is given is an error that names both folders', () => {
  const x = ashlar.input('x', [2]);
  const foreign = other.input('y', [2]) as unknown as typeof x;
  const state = other.variable('v', [2]) as unknown as ashlar.AnyVariable;
  const calls: readonly (() => unknown)[] = [
    () => x.add(foreign),
    () => ashlar.concat([x, foreign], 0),
    () => ashlar.func({ inputs: [x], outputs: { y: foreign } }),
    () => ashlar.func({ inputs: [foreign], outputs: { y: x } }),
    () => ashlar.func({ inputs: [x], outputs: { y: x }, updates: [[state, x]] }),
  ];
  for (const call of calls) {
    expect(call).toThrow(ashlar.UserError);
    expect(call).toThrow(`was made by another copy of Ashlar, in ${folder}/, and this one is in`);
    expect(call).toThrow('npm ls ashlar shows who brings the other');
  }
});
