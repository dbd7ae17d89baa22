// Derivatives of the user's own, and checkpoints: what they give to first and second order, forward and reverse, along a
// batch and on every target; what rules that do not fit are told; and how much memory a checkpoint saves.

import {
  type AnyTensor,
  checkpoint,
  customJvp,
  customVjp,
  format,
  func,
  grad,
  hvp,
  input,
  interpret,
  jvp,
  narrow,
  nn,
  scan,
  squeeze,
  stopGradient,
  type Tensor,
  variable,
  vmap,
  whileLoop,
  zeros,
} from 'ashlar';
import { compile } from 'ashlar/node';
import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { expectClose } from './helpers/close.ts';
import { everywhere } from './helpers/everywhere.ts';
import { seeded } from './helpers/samples.ts';

type Vector = Tensor<[4], 'f32'>;

beforeEach(() => {
  nn.resetNames();
  nn.setSeed(5);
});

const random = seeded(17);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * random() - 1);
const x = input('x', [4]);
const data = [-2, -0.5, 0.3, 1.5];

/** log(1 + e^x) with the derivative that does not overflow, given in either direction. */
const plain = (v: Vector): Vector => v.exp().add(1).log();
const byVjp = customVjp(plain, ({ inputs: [v], cotangents }) => [cotangents.mul(v.sigmoid())]);
const byJvp = customJvp(plain, ({ inputs: [v], tangents: [t] }) => t.mul(v.sigmoid()));

describe.each([
  ['customVjp', byVjp],
  ['customJvp', byJvp],
])('%s', (_name, f) => {
  it('has the function’s type and values', () => {
    expectTypeOf(f).toEqualTypeOf<(v: Vector) => Vector>();
    expectClose(interpret({ y: f(x) }, { x: data }).y.data, interpret({ y: plain(x) }, { x: data }).y.data);
  });

  it('has its rule as derivative in both directions, to second order', () => {
    const both = (g: (v: Vector) => Vector) => {
      const total = g(x).square().sum();
      const direction = x.cos();
      const gradient = grad(total, x);
      return {
        gradient,
        second: grad(gradient.mul(direction).sum(), x),
        forward: jvp([g(x)], [x], [direction])[0] as Vector,
        hessian: hvp(total, x, direction),
      };
    };
    const [own, automatic] = [interpret(both(f), { x: data }), interpret(both(plain), { x: data })];
    for (const key of Object.keys(automatic) as (keyof typeof automatic)[])
      expectClose(own[key].data, automatic[key].data, 1e-9);
    // Where the automatic derivative is ∞ / ∞.
    const [far] = [interpret({ g: grad(f(x).sum(), x) }, { x: [800, 0, -800, 1] })];
    expectClose(far.g.data, [1, 0.5, 0, 1 / (1 + Math.exp(-1))]);
  });

  it('along a batch is what it is one by one, its derivatives too', () => {
    const rows = input('rows', [3, 4]);
    const given = numbers(12);
    const each = (g: (v: Vector) => Vector) => {
      const y = vmap(g)(rows);
      const gradient = vmap((row: Vector) => grad(g(row).square().sum(), row))(rows);
      return {
        y,
        gradient,
        through: grad(y.square().sum(), rows),
        forward: jvp([y], [rows], [rows.sin()])[0] as AnyTensor,
      };
    };
    const [own, automatic] = [interpret(each(f), { rows: given }), interpret(each(plain), { rows: given })];
    for (const key of Object.keys(automatic) as (keyof typeof automatic)[])
      expectClose(own[key].data, automatic[key].data, 1e-9);
  });

  it('compiles to what the function and its rule are, on every target', async () => {
    const y = f(x);
    const outputs = { y, slope: grad(y.sum(), x) };
    const expected = interpret(outputs, { x: data });
    const results = await everywhere(func({ inputs: [x], outputs }), { x: Float32Array.from(data) });
    for (const found of Object.values(results)) {
      expectClose(found.y!, expected.y.data, 1e-5);
      expectClose(found.slope!, expected.slope.data, 1e-5);
    }
  });
});

describe('a rule of one’s own', () => {
  it('need not be linear: gradients are clipped where they pass, to any order in reverse, and there is no forward derivative', () => {
    const clipped = customVjp(
      (v: Vector) => v.mul(1),
      ({ cotangents }) => [cotangents.maximum(-1).minimum(1)],
    );
    const total = clipped(x).square().sum();
    expectClose(interpret({ g: grad(total, x) }, { x: data }).g.data, [-1, -1, 0.6, 1]);
    expectClose(interpret({ g: grad(grad(total, x).sum(), x) }, { x: [-2, -0.4, 0.3, 1.5] }).g.data, [0, 1, 1, 0]);
    expect(() => jvp([clipped(x)], [x], [x])).toThrow(
      /@customVjp has no forward derivative: its own rule .* is not linear/,
    );
  });

  it('may iterate until it settles: the derivative of a fixed point is a fixed point too, found without a limit of steps', async () => {
    type Matrix = Tensor<[4, 4], 'f32'>;
    const settled = (start: Vector, step: (z: Vector) => Vector): Vector =>
      whileLoop(
        [start, start.add(1)],
        ([z, before]) => z.sub(before).abs().max().gt(1e-6),
        ([z]) => [step(z), z],
      )[0];
    const equilibrium = customVjp(
      (w: Matrix, v: Vector) => settled(v.mul(0), (z) => w.matmul(z).add(v).tanh()),
      ({ inputs: [w], outputs: z, cotangents }) => {
        const slope = z.square().mul(-1).add(1);
        const u = settled(cotangents, (each) => w.transpose().matmul(each.mul(slope)).add(cotangents)).mul(slope);
        return [u.reshape([4, 1]).mul(z.reshape([1, 4])), u];
      },
    );
    const w = input('w', [4, 4]);
    const unrolled = (): Vector => {
      let z: Vector = x.mul(0);
      for (let i = 0; i < 60; i++) z = w.matmul(z).add(x).tanh();
      return z;
    };
    const given = { w: numbers(16).map((each) => each * 0.4), x: Float32Array.from(data) };
    const gradients = (z: Vector) => {
      const [byW, byX] = grad(z.square().sum(), [w, x]);
      return { byW, byX };
    };
    const outputs = gradients(equilibrium(w, x));
    const expected = interpret(gradients(unrolled()), given);
    for (const found of Object.values(await everywhere(func({ inputs: [w, x], outputs }), given)))
      for (const name of ['byW', 'byX'] as const) expectClose(found[name]!, expected[name].data, 1e-5);
    expect(() => jvp([equilibrium(w, x)], [x], [x])).toThrow(/@customVjp has no forward derivative/);
  });

  it('sees inputs and outputs in the structure of the function; integers and null have no cotangent', () => {
    const scaled = customVjp(
      (v: Vector, times: Tensor<[], 'i32'>) => ({ product: v.mul(times.cast('f32')), sum: v.sum() }),
      ({ inputs: [, times], cotangents: { product, sum } }) => [product.mul(times.cast('f32')).add(sum), null],
    );
    const times = input('times', [], 'i32');
    const { product, sum } = scaled(x, times);
    const g = grad(product.square().sum().add(sum.mul(3)), x);
    expectClose(
      interpret({ g }, { x: data, times: 2 }).g.data,
      data.map((v) => 8 * v + 3),
    );
    const none = customVjp(
      (v: Vector) => v.square(),
      () => [null],
    );
    expectClose(interpret({ g: grad(none(x).sum(), x) }, { x: data }).g.data, [0, 0, 0, 0]);
  });

  it('may read its surroundings, and be differentiated by them', () => {
    const slope = variable('slope', [], { initial: 3 });
    const f = customVjp(
      (v: Vector) => v.abs(),
      ({ cotangents }) => [cotangents.mul(slope)],
    );
    const g = grad(f(x).sum(), x);
    expectClose(interpret({ g }).g.data, [3, 3, 3, 3]);
    expectClose(interpret({ d: grad(g.mul(x).sum(), slope) }, { x: data }).d.data, [data.reduce((a, b) => a + b)]);
  });

  it('along a batch with weights that all rows share sums their cotangents', () => {
    const w = variable('w', [4], { initial: [1, -1, 2, 0.5] });
    const f = customVjp(
      (v: Vector, weight: Vector) => v.mul(weight).sum(),
      ({ inputs: [v, weight], cotangents: c }) => [weight.mul(c), v.mul(c)],
    );
    const rows = input('rows', [3, 4]);
    const loss = vmap((row: Vector) => f(row, w).square())(rows).sum();
    const automatic = rows.mul(w).sum(1).square().sum();
    const given = { rows: numbers(12) };
    const found = interpret({ own: grad(loss, w), expected: grad(automatic, w) }, given);
    expectClose(found.own.data, found.expected.data, 1e-9);
  });
});

describe('a rule that does not fit is refused, with its line', () => {
  const w = variable('w', [4]);
  /** As callers without types see them. */
  type Untyped = (...functions: unknown[]) => (...operands: unknown[]) => AnyTensor;
  const [vjpOf, jvpOf] = [customVjp as unknown as Untyped, customJvp as unknown as Untyped];

  it.each([
    [
      'too few cotangents',
      () =>
        vjpOf(
          (v: Vector) => v,
          () => [],
        )(x),
      /customVjp: a rule that returns a cotangent or null for each of 1 inputs expected, it returns 0/,
    ],
    [
      'no list',
      () =>
        vjpOf(
          (v: Vector) => v,
          () => x,
        )(x),
      /customVjp: a rule that returns a list expected/,
    ],
    [
      'another shape',
      () =>
        vjpOf(
          (v: Vector) => v,
          ({ cotangents: c }: { cotangents: Vector }) => [c.sum()],
        )(x),
      /customVjp: the cotangent of input 1 must be f32\[4\] as that is, f32\[\] given/,
    ],
    [
      'no tensor',
      () =>
        vjpOf(
          (v: Vector) => v,
          () => [1],
        )(x),
      /the cotangent of input 1 must be f32\[4\] as that is, number given/,
    ],
    [
      'integers',
      () =>
        vjpOf(
          (v: Vector) => v.cast('i32'),
          () => [null],
        )(x),
      /customVjp: a function that returns floats expected, i32\[4\] given/,
    ],
    [
      'what it does not take',
      () =>
        vjpOf(
          (v: Vector) => v.mul(w.square()),
          () => [null],
        )(x),
      /customVjp: the function reads w: f32\[4\], which it does not take/,
    ],
    [
      'a tangent of another shape',
      () =>
        jvpOf(
          (v: Vector) => v,
          () => x.sum(),
        )(x),
      /customJvp: tangent must be f32\[4\] as that is, f32\[\] given/,
    ],
    [
      'no linear rule',
      () =>
        jvpOf(
          (v: Vector) => v,
          ({ tangents: [t] }: { tangents: [Vector] }) => t.square(),
        )(x),
      /customJvp: a rule that is linear in the tangents expected/,
    ],
  ])('%s', (_what, call, message) => {
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ source: expect.objectContaining({ file: 'test/custom.test.ts' }) }));
  });

  it('the line is that of the rule, not of the call', () => {
    const { stack } = new Error('the line before the rule');
    const f = vjpOf(plain, () => []);
    const line = Number(/custom\.test\.ts:(\d+)/.exec(stack!)![1]) + 1;
    expect(() => f(x)).toThrow(expect.objectContaining({ source: expect.objectContaining({ line }) }));
  });

  it('stands in formulas by its name, and checkpoints not at all', () => {
    expect(format(byVjp(x))).toBe('customVjp(x)');
    expect(format(grad(checkpoint((v: Vector) => v.exp())(x).sum(), x))).toBe('exp(x)');
  });

  it('what has no gradient may be read', () => {
    const f = customVjp(
      (v: Vector) => v.mul(stopGradient(w)),
      ({ cotangents }) => [cotangents],
    );
    expect(f(x).shape).toEqual([4]);
  });
});

describe('in loops', () => {
  type Steps = (sequence: AnyTensor) => AnyTensor;
  const w = variable('w', [3, 3], { initial: [0.1, -0.4, 0.3, 0.5, 0.2, -0.1, 0.7, 0.3, -0.6] });
  const recurrence =
    (step: (h: AnyTensor, xt: AnyTensor) => AnyTensor): Steps =>
    (sequence) =>
      scan(zeros([3]), sequence, (h: AnyTensor, xt: AnyTensor) => {
        const next = step(h, xt);
        return [next, next];
      })[1] as AnyTensor;
  const tanh = customVjp(
    (v: AnyTensor) => v.tanh() as AnyTensor,
    ({ outputs: y, cotangents: c }) => [c.mul(y.square().neg().add(1)) as AnyTensor],
  );
  const plainStep = (h: AnyTensor, xt: AnyTensor): AnyTensor => xt.add(h.matmul(w)).tanh() as AnyTensor;
  const sequence = input('sequence', [5, 3]);
  const batch = input('batch', [2, 5, 3]);
  const given = { sequence: numbers(15), batch: numbers(30) };
  const derivatives = (f: Steps) => {
    const total = f(sequence).square().sum() as AnyTensor;
    const [byWeight, bySequence] = grad(total, [w as AnyTensor, sequence as AnyTensor]) as [AnyTensor, AnyTensor];
    return {
      byWeight,
      bySequence,
      second: grad(bySequence.square().sum() as AnyTensor, w as AnyTensor) as AnyTensor,
      each: vmap((one: AnyTensor) => grad(f(one).square().sum() as AnyTensor, w as AnyTensor) as AnyTensor)(
        batch as AnyTensor,
      ) as AnyTensor,
    };
  };
  const expected = interpret(derivatives(recurrence(plainStep)), given);

  it.each<[string, Steps]>([
    [
      'a function with a derivative of its own in every step',
      recurrence((h, xt) => tanh(xt.add(h.matmul(w)) as AnyTensor)),
    ],
    ['a checkpoint in every step', recurrence(checkpoint(plainStep))],
    ['a checkpoint around all steps', checkpoint(recurrence(plainStep))],
  ])('%s has the derivatives of the loop', (_what, f) => {
    const found = interpret(derivatives(f), given);
    for (const key of Object.keys(expected) as (keyof typeof expected)[])
      expectClose(found[key].data, expected[key].data, 1e-9);
  });
});

describe('a checkpoint', () => {
  const width = 64;
  const batch = 512;

  interface Step {
    readonly inputs: AnyTensor[];
    readonly loss: AnyTensor;
    readonly variables: readonly AnyTensor[];
  }

  /** Layers one after another, `each` of them in a checkpoint; null: without checkpoints. */
  function chain(layers: readonly nn.Layer[], x0: AnyTensor, each: number | null): AnyTensor {
    if (each === null) return layers.reduce<AnyTensor>((h, layer) => layer(h), x0);
    let h = x0;
    for (let i = 0; i < layers.length; i += each) {
      const part = layers.slice(i, i + each);
      h = checkpoint((z: AnyTensor) => part.reduce<AnyTensor>((a, layer) => layer(a), z))(h);
    }
    return h;
  }

  function perceptron(each: number | null, depth = 24): Step {
    nn.resetNames();
    nn.setSeed(3);
    const layers = Array.from({ length: depth }, () => nn.sequential(nn.dense(width, width), nn.tanh));
    const given = input('x', [batch, width]);
    return {
      inputs: [given],
      loss: chain(layers, given, each).square().mean(),
      variables: layers.flatMap((layer) => [...layer.variables]),
    };
  }

  /** Blocks of attention over 32 places and two heads, and a perceptron, both beside what passes by. */
  function transformer(each: number | null, depth = 6, examples = 8): Step {
    nn.resetNames();
    nn.setSeed(3);
    const [places, size, heads] = [32, 32, 2];
    const block = (): nn.Layer => {
      const [norm, qkv, out] = [nn.layerNorm(size), nn.dense(size, 3 * size), nn.dense(size, size)];
      const rest = nn.sequential(nn.layerNorm(size), nn.dense(size, 4 * size), nn.gelu, nn.dense(4 * size, size));
      const apply = (z: AnyTensor): AnyTensor => {
        const parts = qkv(norm(z))
          .reshape([-1, places, 3, heads, size / heads])
          .transpose([2, 0, 3, 1, 4]) as AnyTensor;
        const [q, k, v] = [0, 1, 2].map((i) => squeeze(narrow(parts, 0, i, 1), 0) as AnyTensor);
        const weights = q!.matmul(k!.transpose([0, 1, 3, 2])).mul((size / heads) ** -0.5);
        const attended = nn
          .softmax(weights)
          .matmul(v!)
          .transpose([0, 2, 1, 3])
          .reshape([-1, places, size]) as AnyTensor;
        const h = z.add(out(attended)) as AnyTensor;
        return h.add(rest(h)) as AnyTensor;
      };
      const variables = [norm, qkv, out, rest].flatMap((layer) => [...layer.variables]);
      return Object.assign(apply, { variables, updates: () => [] }) as unknown as nn.Layer;
    };
    const blocks = Array.from({ length: depth }, block);
    const given = input('x', [examples, places, size]);
    return {
      inputs: [given],
      loss: chain(blocks, given, each).square().mean(),
      variables: blocks.flatMap((layer) => [...layer.variables]),
    };
  }

  const definition = ({ inputs, loss, variables }: Step) => {
    const gradients = grad(loss, variables) as readonly AnyTensor[];
    const updates = variables.map((w, i) => [w, w.sub(gradients[i]!.mul(0.05))] as const);
    return func({ inputs: inputs as never, outputs: { loss }, updates: updates as never });
  };
  const programOf = (step: Step) => compileToProgram(definition(step).func);

  it.each([
    ['a deep perceptron', perceptron, 5, 2],
    ['a transformer', transformer, 1, 2],
  ])('lets the memory of %s fall, and is not merged with what it computes again', (_what, model, each, times) => {
    const [all, some] = [programOf(model(null)), programOf(model(each))];
    expect(all.arenaBytes / some.arenaBytes).toBeGreaterThan(times);
    expect(some.steps.length).toBeGreaterThan(all.steps.length);
  });

  it('of a transformer has its very gradients by the reference', () => {
    const gradients = (each: number | null): Record<string, AnyTensor> => {
      const { loss, variables } = transformer(each, 2, 1);
      const list = grad(loss, variables) as readonly AnyTensor[];
      return { loss, ...Object.fromEntries(list.map((g, i) => [`g${i}`, g])) };
    };
    const given = { x: numbers(32 * 32) };
    expect(interpret(gradients(1), given)).toEqual(interpret(gradients(null), given));
  });

  it('of a perceptron trains it in C as without, but for where the compiler fuses a product and a sum', async () => {
    const [all, some] = await Promise.all(
      [null, 2].map((each) => compile(definition(perceptron(each, 4)), { target: 'c' })),
    );
    const given = { x: numbers(batch * width) } as never;
    for (let step = 0; step < 3; step++) expectClose(some!(given).loss, all!(given).loss, 1e-6);
    for (const { name } of perceptron(null, 4).variables as unknown as { name: string }[])
      expectClose(some!.state.get(name) as Float32Array, all!.state.get(name) as Float32Array, 1e-6);
  });

  it('within another, along a batch and to second order has the values and derivatives of the function', () => {
    const w = variable('w', [4, 4], { initial: [...numbers(16)] });
    const inner = (v: Vector): Vector => v.matmul(w).tanh();
    const f = (v: Vector): Vector => inner(inner(v)).mul(v);
    const g = checkpoint((v: Vector): Vector => checkpoint((u: Vector) => inner(inner(u)))(v).mul(v));
    const rows = input('rows', [3, 4]);
    const all = (h: (v: Vector) => Vector) => {
      const total = h(x).square().sum();
      return {
        y: h(x),
        byWeight: grad(total, w),
        hessian: hvp(total, x, x.cos()),
        second: grad(grad(total, x).square().sum(), w),
        batch: vmap((row: Vector) => grad(h(row).sum(), [row, w]))(rows)[1] as AnyTensor,
        through: grad(vmap(h)(rows).square().sum(), w),
      };
    };
    const given = { x: data, rows: numbers(12) };
    const [plainly, again] = [interpret(all(f), given), interpret(all(g), given)];
    for (const key of Object.keys(plainly) as (keyof typeof plainly)[])
      expectClose(again[key].data, plainly[key].data, 1e-9);
  });
});
