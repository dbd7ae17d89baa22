// One record in src/ir/ops/unary.ts makes an operation: a copy of the sources gets one, and the compiler's type check, the
// tests that walk the table and a program that trains through it accept it, with nothing else changed.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('..', import.meta.url));
const record = `
  readonly cube: UnaryRecord = {
    doc: 'x³.',
    dtypes: 'float',
    evaluate: (x) => x ** 3,
    derivative: (b, x) => b.mul(b.like(x, 3), square(b, x)),
    scalar: (x) => apply('mul', x, apply('mul', x, x)),
  };
`;

const userProgram = `
import { elementwise, func, grad, input } from 'ashlar';
import { compile } from 'ashlar/node';

const x = input('x', [4]);
const y = elementwise('cube', x).add(1);
const run = await compile(func({ name: 'cubes', inputs: [x], outputs: { y, slope: grad(y.sum(), [x])[0] } }), { target: 'c' });
const { y: cubes, slope } = run({ x: Float32Array.of(-1, 0, 1, 2) });
console.log([...cubes].join(' '), '|', [...slope].join(' '));
`;

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-one-entry-'));
  for (const part of ['src', 'package.json', 'tsconfig.json', 'vitest.config.ts', 'test/helpers', 'examples']) {
    cpSync(join(project, part), join(folder, part), { recursive: true });
  }
  for (const file of ['ops-walk.test.ts', 'differential.test.ts']) {
    cpSync(join(project, 'test', file), join(folder, 'test', file));
  }
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
  const table = join(folder, 'src/ir/ops/unary.ts');
  const source = readFileSync(table, 'utf8');
  const at = source.lastIndexOf('}\n\nexport const unaryRecords');
  writeFileSync(table, source.slice(0, at) + record + source.slice(at));
  writeFileSync(join(folder, 'test/program.ts'), userProgram);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tool = (name: string): string => join(project, 'node_modules/.bin', name);

describe('a new elementwise operation needs one record', () => {
  it('for the type checker', () => {
    const { status, stdout } = spawnSync(tool('tsc'), ['--noEmit', '--incremental', 'false'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  it('for text form, evaluation, first and second derivatives and C: the tests that walk the table take it up', () => {
    const { stdout } = spawnSync(tool('vitest'), ['run', '--reporter=json', '-t', '\\bcube\\b'], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      numFailedTests: number;
      testResults: { assertionResults: { fullName: string; status: string }[] }[];
    };
    const run = report.testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status !== 'skipped' && status !== 'pending'),
    );
    expect(run.filter(({ status }) => status !== 'passed')).toEqual([]);
    const names = run.map(({ fullName }) => fullName).join('\n');
    expect(names).toMatch(/cube: print\(parse\(print\)\) is exact/);
    expect(names).toMatch(/cube evaluates/);
    expect(names).toMatch(/cube: derivatives agree with finite differences, to second order/);
    expect(names).toMatch(/gcc .*\bcube\b/);
  });

  it('for a user’s function, compiled with its gradient', () => {
    const printed = execFileSync(tool('tsx'), ['test/program.ts'], { cwd: folder, encoding: 'utf8' });
    expect(printed.trim()).toBe('0 1 2 9 | 3 0 3 12');
  });
});
