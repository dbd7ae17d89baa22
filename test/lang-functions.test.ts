// Derivatives, formulas as text, functions with their variables, and the positions that operations remember.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import {
  captureSources,
  constant,
  format,
  func,
  grad,
  hvp,
  input,
  interpret,
  jvp,
  ones,
  split,
  valueAndGrad,
  variable,
  variablesOf,
  vjp,
  zeros,
} from '../src/lang/index.ts';
import { shown } from './helpers/shown.ts';

describe('derivatives', () => {
  const x = input('x', [2]);
  const given = { x: [2, 3], s: [2] };

  it('grad has the shape of what it is by, and is zero for what the scalar does not read', () => {
    const y = input('y', [2, 2]);
    const loss = x.square().sum();
    expect(shown(grad(loss, x), given)).toBe('[4, 6]');
    const [gx, gy] = grad(loss, [x, y]);
    expect(shown(gx, given)).toBe('[4, 6]');
    expect(shown(gy, given)).toBe('[[0, 0], [0, 0]]');
  });

  it('sums over broadcast axes', () => {
    const s = input('s', [1]);
    expect(shown(grad(x.mul(s).sum(), s), given)).toBe('[5]');
  });

  it('by an expression in the middle, and by variables', () => {
    const w = variable('w', [2], { initial: [10, 100] });
    const middle = x.mul(w);
    const loss = middle.square().sum();
    expect(shown(grad(loss, middle), { x: given.x })).toBe('[40, 600]');
    expect(shown(grad(loss, w), { x: given.x })).toBe('[80, 1800]');
  });

  it('valueAndGrad gives both', () => {
    const [value, gradient] = valueAndGrad(x.pow(3).sum(), x);
    expect([shown(value, given), shown(gradient, given)]).toEqual(['35', '[12, 27]']);
  });

  it('repeats to any order', () => {
    const s = input('s', []);
    const first = grad(s.pow(4), s);
    const second = grad(first, s);
    expect([shown(first, given), shown(second, given), shown(grad(second, s), given)]).toEqual(['32', '48', '48']);
  });

  it('vjp weighs the outputs, jvp the inputs', () => {
    const outputs = [x.square(), x.sum()];
    expect(shown(vjp(outputs, [constant([1, 10]), constant(100)], [x])[0]!, given)).toBe('[104, 160]');
    const [square, sum] = jvp(outputs, [x], [constant([1, 10])]);
    expect([shown(square!, given), shown(sum!, given)]).toEqual(['[4, 60]', '11']);
  });

  it('jvp of what does not depend on the tangent is zero', () => {
    expect(shown(jvp([constant([7, 8])], [x], [constant([1, 1])])[0]!, given)).toBe('[0, 0]');
  });

  it('hvp is the Hessian times a vector', () => {
    // f = x₀²x₁: H = [[2x₁, 2x₀], [2x₀, 0]], at (2, 3) [[6, 4], [4, 0]].
    const [x0, x1] = split(x, 2, 0);
    const f = x0!.square().mul(x1!).sum();
    expect(shown(hvp(f, x, constant([1, 10], { shape: [2] })), given)).toBe('[46, 4]');
  });
});

describe('format', () => {
  const x = input('x', []);
  const [w1, w2] = [variable('w1', []), variable('w2', [])];
  const n = input('n', [], 'i32');

  it('prints an exponential model and both its derivatives', () => {
    const y = w2.mul(w1.mul(x).exp());
    expect(format(y)).toBe('w2 * exp(w1 * x)');
    expect(format(grad(y, w2))).toBe('exp(w1 * x)');
    expect(format(grad(y, w1))).toMatch(/^(w2 \* exp\(w1 \* x\) \* x|x \* w2 \* exp\(w1 \* x\))$/);
  });

  it('sets the parentheses that precedence needs and no others', () => {
    expect(format(x.add(1).mul(w1))).toBe('(x + 1) * w1');
    expect(format(x.mul(w1).add(w2))).toBe('x * w1 + w2');
    expect(format(x.sub(w1.sub(w2)))).toBe('x - (w1 - w2)');
    expect(format(x.div(w1.mul(w2)))).toBe('x / (w1 * w2)');
    expect(format(x.add(w1).neg())).toBe('-(x + w1)');
    expect(format(x.add(w1.neg()))).toBe('x - w1');
    expect(format(x.add(-2))).toBe('x - 2');
  });

  it('keeps the order of what is not associative', () => {
    expect(format(n.mul(n.div(3)))).toBe('n * (n / 3)');
    expect(format(n.mul(n.rem(3)))).toBe('n * (n % 3)');
    expect(format(n.mul(n.div(3).mul(1)))).toBe('n * (n / 3)');
    expect(format(n.mul(x.cast('i32').mul(3)).div(n))).toBe('n * x * 3 / n');
    expect(format(n.div(n.mul(3)))).toBe('n / (n * 3)');
    expect(format(n.div(n.neg()))).toBe('n / -n');
    expect(format(n.gt(1).or(n.lt(0)).and(n.ne(5)))).toBe('((n > 1) | (n < 0)) & (n != 5)');
    expect(format(n.gt(1).eq(n.lt(2)))).toBe('(n > 1) == (n < 2)');
  });

  it('leaves out factors of one, terms of zero, broadcasts and reshapes', () => {
    expect(format(x.mul(1).add(0))).toBe('x');
    expect(format(x.mul(-1))).toBe('-x');
    expect(format(input('v', [3]).add(x).reshape([3, 1]))).toBe('v + x');
  });

  it('prints calls, short constants and the shapes of long ones', () => {
    expect(format(x.tanh().maximum(0))).toBe('max(tanh(x), 0)');
    expect(format(input('v', [3]).sum())).toBe('sum(v)');
    expect(format(constant([1, 2.5]))).toBe('[1, 2.5]');
    expect(format(constant([1, 2, 3, 4, 5]))).toBe('constant[5]');
  });
});

describe('functions', () => {
  const x = input('x', [2]);
  const unused = input('unused', []);
  const w = variable('w', [2], { initial: [1, 2] });
  const count = variable('count', [], { dtype: 'i32' });

  it('have inputs first, then every variable that is read or updated', () => {
    const { func: made, variables } = func({
      name: 'step',
      inputs: [x, unused],
      outputs: { y: x.mul(w) },
      updates: [
        [w, w.sub(x)],
        [count, count.add(1)],
      ],
    });
    expect(made.name).toBe('step');
    expect(made.parameters.map(({ name, role }) => `${role} ${name}`)).toEqual([
      'input x',
      'input unused',
      'state w',
      'state count',
    ]);
    expect(made.results.map(({ name, role }) => `${role} ${name}`)).toEqual(['output y', 'update w', 'update count']);
    expect(variables).toEqual([w, count]);
  });

  it('take updates as a map, and may read nothing', () => {
    const { func: made, variables } = func({ updates: new Map([[w, zeros([2])]]) });
    expect(made.name).toBe('model');
    expect(made.results.map(({ role }) => role)).toEqual(['update']);
    expect(variables).toEqual([w]);
  });

  it('may return an input or a variable as it is', () => {
    expect(func({ inputs: [x], outputs: { x, w } }).variables).toEqual([w]);
  });

  it('variablesOf finds what expressions read, each once', () => {
    expect(variablesOf(x.mul(w), w.add(1), count)).toEqual([w, count]);
    expect(variablesOf(x.add(1))).toEqual([]);
  });

  it('interpret gives shapes and elements by name; variables have their first values unless given', () => {
    const found = interpret({ product: x.mul(w), total: w.sum() }, { x: [10, 20] });
    expect(found.product).toEqual({ shape: [2], data: Float64Array.of(10, 40) });
    expect(found.total).toEqual({ shape: [], data: Float64Array.of(3) });
    expect(shown(x.mul(w), { x: 2, w: [5, 6] })).toBe('[10, 12]');
  });
});

describe('positions', () => {
  afterEach(() => captureSources(true));

  it('every operation remembers where the user wrote it', () => {
    const { source } = ones([2]).add(1).value.producer!;
    expect(source?.file).toBe('test/lang-functions.test.ts');
    expect(String(ones([2]))).toMatch(/^Tensor\(f32\[2\] at test\/lang-functions\.test\.ts:\d+:\d+\)$/);
  });

  it('are found in folders whose names have spaces and parentheses', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ashlar (a b) '));
    try {
      const language = JSON.stringify(fileURLToPath(new URL('../src/lang/index.ts', import.meta.url)));
      const program = [
        `import { input } from ${language};`,
        "const x = input('x', []);",
        'const later = async () => { await null; return x.add(1); };',
        'console.log(String(await later()), "and", String([x].map((y) => y.neg())[0]));',
      ];
      writeFileSync(join(folder, 'model.mts'), program.join('\n'));
      const tsx = createRequire(import.meta.url).resolve('tsx/cli');
      const { stdout, stderr } = spawnSync(process.execPath, [tsx, 'model.mts'], { cwd: folder, encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^Tensor\(f32\[\] at model\.mts:3:\d+\) and Tensor\(f32\[\] at model\.mts:4:\d+\)\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('captureSources(false) saves the stack traces', () => {
    captureSources(false);
    expect(ones([2]).add(1).value.producer!.source).toBeNull();
    captureSources(true);
    expect(ones([2]).add(1).value.producer!.source).not.toBeNull();
  });
});
