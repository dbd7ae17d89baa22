// Every teaching example as a user runs it, in a process of its own, on each target: what it prints is what it is there to
// show, and what docs/examples.md says of it.

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { galleryRows } from '../examples/gallery/rows.ts';
import { testDevice } from './helpers/webgpu.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const tsx = createRequire(import.meta.url).resolve('tsx/cli');

const names = [
  'perceptron',
  'relu-gates',
  'universal-approximation',
  'delta-rule',
  'xor',
  'exponential',
  'logistic-regression',
  'edge-filter',
] as const;
type Name = (typeof names)[number];

const device = await testDevice();
if (typeof device === 'string') process.stderr.write(`examples on WebGPU are skipped: ${device}\n`);
const targets = typeof device === 'string' ? (['c', 'js'] as const) : (['c', 'wgsl', 'js'] as const);

const outputs = new Map<string, string>();
/** The lines printed in C; a run that fails or writes to stderr never gets here. */
const lines = (name: Name): string[] => outputs.get(`${name} c`)!.trimEnd().split('\n');
/** The numbers of a line, in order. */
const numbers = (line: string): number[] => Array.from(line.matchAll(/-?\d+(\.\d+)?/g), ([number]) => Number(number));
/** The lines from the one that is `first` on. */
function from(name: Name, first: string, count: number): string[] {
  const start = lines(name).indexOf(first);
  expect(start, `${name} prints ${JSON.stringify(first)}`).toBeGreaterThanOrEqual(0);
  return lines(name).slice(start, start + count);
}

beforeAll(async () => {
  for (const name of names) {
    const path = join(root, 'examples', `${name}.ts`);
    const runs = targets.map(async (target) => {
      const options = { cwd: root, timeout: 240_000, env: { ...process.env, ASHLAR_TARGET: target } };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [tsx, path], options);
      expect(stderr, `${name} on ${target}`).toBe('');
      outputs.set(`${name} ${target}`, stdout);
    });
    await Promise.all(runs);
  }
}, 600_000);

describe('perceptron', () => {
  it('learns AND and OR by its rule', () => {
    expect(from('perceptron', 'AND: learned in 6 passes, y = step(2·x1 + 1·x2 − 3)', 5).slice(1)).toEqual([
      '  0 0 → 0',
      '  0 1 → 0',
      '  1 0 → 0',
      '  1 1 → 1',
    ]);
    expect(from('perceptron', 'OR: learned in 4 passes, y = step(1·x1 + 1·x2 − 1)', 5).slice(1)).toEqual([
      '  0 0 → 0',
      '  0 1 → 1',
      '  1 0 → 1',
      '  1 1 → 1',
    ]);
  });

  it('does not learn XOR', () => {
    const answers = from('perceptron', 'XOR: still wrong after 100 passes', 5).slice(1);
    expect(answers.filter((line) => line.includes('expected')).length).toBeGreaterThan(0);
  });
});

describe('relu-gates', () => {
  it('computes every gate on every pair of bits', () => {
    expect(from('relu-gates', 'x1 x2  AND  OR  NAND  NOR  XOR', 5).slice(1).map(numbers)).toEqual([
      [0, 0, 0, 0, 1, 1, 0],
      [0, 1, 0, 1, 1, 0, 1],
      [1, 0, 0, 1, 1, 0, 1],
      [1, 1, 1, 1, 0, 0, 0],
    ]);
  });

  it('counts the events that are left after each cut, as comparisons would', () => {
    expect(lines('relu-gates').slice(-5)).toEqual([
      'all events       10',
      'energy > 20       7',
      'angle < 2.5       5',
      'isolation > 0.5   3',
      'selected: events 0, 4, 6',
    ]);
  });
});

describe('universal-approximation', () => {
  it('prints the published weights', () => {
    expect(lines('universal-approximation').slice(0, 4)).toEqual([
      'first weights            1 1 1 1 1 1 1 1 1 1',
      'biases                   0 -1 -2 -3 -4 -5 -6 -7 -8 -9',
      'second weights for x²    1 2 2 2 2 2 2 2 2 2',
      'second weights for 2^x   1 1 2 4 8 16 32 64 128 256  and output bias 1',
    ]);
  });

  it('meets x² and 2^x at whole numbers, and halfway between lies on the chord', () => {
    const rows = from('universal-approximation', '   x   network       x²   network       2^x', 22)
      .slice(1)
      .map(numbers);
    expect(rows.length).toBe(21);
    rows.forEach(([x, square, trueSquare, power, truePower], i) => {
      expect(x).toBe(i / 2);
      const [below, above] = [Math.floor(x!), Math.ceil(x!)];
      expect(square).toBeCloseTo((below ** 2 + above ** 2) / 2, 2);
      expect(power).toBeCloseTo((2 ** below + 2 ** above) / 2, 2);
      expect(trueSquare).toBeCloseTo(x! ** 2, 2);
      expect(truePower! / 2 ** x!).toBeCloseTo(1, 2);
    });
  });

  it('is off by at most 1/4 for x² and 6.1% for 2^x', () => {
    expect(lines('universal-approximation').at(-1)).toBe('greatest error for x²: 0.25, for 2^x: 6.1%');
  });
});

describe('delta-rule', () => {
  it('prints the rule, derived from the unit', () => {
    expect(lines('delta-rule').slice(0, 4)).toEqual([
      'w1 ← w1 + η · delta * x1',
      'w2 ← w2 + η · delta * x2',
      'b ← b + η · delta',
      'delta = t - (w1 * x1 + w2 * x2 + b)',
    ]);
  });

  it('finds the plane 2·x1 − 3·x2 + 1, and moves as the gradient of the loss does', () => {
    expect(numbers(lines('delta-rule').at(-3)!)).toEqual([100, 0, 2, -3, 1]);
    expect(lines('delta-rule').at(-1)).toBe('between the rule and the gradient of the loss: 0');
  });
});

describe('xor', () => {
  it('starts without an answer and ends with a loss near zero', () => {
    expect(numbers(lines('xor')[0]!)[1]).toBeGreaterThan(0.2);
    expect(numbers(lines('xor')[6]!)[0]).toBe(2000);
    expect(numbers(lines('xor')[6]!)[1]).toBeLessThan(0.002);
  });

  it('answers all four cases', () => {
    const answers = lines('xor').slice(-4).map(numbers);
    expect(answers.map(([x1, x2]) => [x1, x2])).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    for (const [x1, x2, answer] of answers) expect(Math.abs(answer! - Math.abs(x1! - x2!))).toBeLessThan(0.05);
  });
});

describe('exponential', () => {
  it('prints the derivatives as formulas', () => {
    expect(lines('exponential').slice(0, 4)).toEqual([
      'y           = w2 * exp(w1 * x)',
      'dy/dw1      = w2 * exp(w1 * x) * x',
      'dy/dw2      = exp(w1 * x)',
      'd²y/dw1dw2  = x * exp(w1 * x)',
    ]);
  });

  it('fits the curve that the points are of', () => {
    expect(lines('exponential').at(-1)).toMatch(/^step 2000 {2}loss 0\.000000 {2}y = 2\.000\d·exp\(-0\.700\d·x\)$/);
  });
});

describe('logistic-regression', () => {
  it('finds the published weights', () => {
    const [step, , w, b] = numbers(lines('logistic-regression')[5]!);
    expect(step).toBe(5000);
    expect(w).toBeCloseTo(1.5046, 3);
    expect(b).toBeCloseTo(-4.0777, 3);
  });

  it('predicts the published probabilities', () => {
    expect(lines('logistic-regression').slice(-5)).toEqual([
      '1 h  0.07',
      '2 h  0.26',
      '3 h  0.61',
      '4 h  0.87',
      '5 h  0.97',
    ]);
  });
});

describe('edge-filter', () => {
  it('shows one position of the filter at a time', () => {
    expect(from('edge-filter', '  column 0: 0 0 9 0 0 9  →  0 + 0 + 9 + 0 + 0 + 9 = 18', 4).slice(1)).toEqual([
      '  column 1: 0 9 9 0 9 9  →  0 + 0 + 9 + 0 + 0 + 9 = 18',
      '  column 2: 9 9 9 9 9 9  →  (-9) + 0 + 9 + (-9) + 0 + 9 = 0',
      '  column 3: 9 9 0 9 9 0  →  (-9) + 0 + 0 + (-9) + 0 + 0 = -18',
    ]);
  });

  it('shows the edges, the same by the convolution, and what ReLU leaves', () => {
    expect(from('edge-filter', 'at every position', 5).slice(1).map(numbers)).toEqual([
      [18, 18, 0, -18],
      [18, 18, 0, -18],
      [9, 18, 9, -18],
      [0, 18, 18, -18],
    ]);
    expect(from('edge-filter', 'conv gives the same; after ReLU', 5).slice(1).map(numbers)).toEqual([
      [18, 18, 0, 0],
      [18, 18, 0, 0],
      [9, 18, 9, 0],
      [0, 18, 18, 0],
    ]);
  });

  it('shows the greatest of each block', () => {
    expect(lines('edge-filter').slice(-8)).toEqual([
      '  max(18, 18, 18, 18) = 18',
      '  max(0, 0, 0, 0) = 0',
      '  max(9, 18, 0, 18) = 18',
      '  max(9, 0, 18, 0) = 18',
      '',
      'max-pool',
      '   18    0',
      '   18   18',
    ]);
  });
});

describe('docs/examples.md', () => {
  const page = readFileSync(join(root, 'docs', 'examples.md'), 'utf8');
  const shown = new Map(
    Array.from(page.matchAll(/npx tsx examples\/([\w-]+)\.ts\n+```text\n(.*?)```/gs), ([, name, text]) => [
      name,
      text!,
    ]),
  );

  it('lists every program in examples/ that is run by itself', () => {
    const parts = ['data.ts', 'models.ts', 'options.ts', 'terminal.ts'];
    // docs/gallery.md has the others, which test/gallery.test.ts holds.
    const inGallery = galleryRows.map(({ program }) => `${program}.ts`);
    const programs = readdirSync(join(root, 'examples')).filter(
      (file) => file.endsWith('.ts') && ![...parts, ...inGallery].includes(file),
    );
    for (const program of programs) expect(page, program).toContain(`\`examples/${program}\``);
    expect([...shown.keys()]).toEqual([...names]);
  });

  const runs = names.flatMap((name) => targets.map((target) => [name, target] as const));
  it.each(runs)('shows what %s prints on %s, numbers within a fiftieth', (name, target) => {
    const number = /-?\d+(?:\.\d+)?/g;
    const [expected, printed] = [shown.get(name)!, outputs.get(`${name} ${target}`)!];
    // Widths of columns may follow the numbers, so blanks count as one.
    const words = (text: string) => text.replaceAll(number, '#').replaceAll(/[ ]+/g, ' ').trim();
    expect(words(printed)).toBe(words(expected));
    const values = numbers(printed);
    numbers(expected).forEach((value, i) => {
      expect(Math.abs(values[i]! - value)).toBeLessThanOrEqual(0.02 * Math.abs(value) + 0.0021);
    });
  });
});
