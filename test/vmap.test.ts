// vmap: a function along a new axis is what a loop over its slices gives, on every target; gradients of every example and
// ensembles of models are computed by as many kernels as one example or model.

import {
  type AnyTensor,
  cond,
  conv,
  func,
  gather,
  grad,
  input,
  interpret,
  iota,
  nn,
  scan,
  softmax,
  sort,
  type Tensor,
  variable,
  vmap,
  where,
  whileLoop,
} from 'ashlar';
import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { type CompileOptions, compileToProgram } from '../src/passes/pipeline.ts';
import { expectClose } from './helpers/close.ts';
import { everywhere } from './helpers/everywhere.ts';
import { seeded } from './helpers/samples.ts';

beforeEach(() => {
  nn.resetNames();
  nn.setSeed(5);
});

const random = seeded(41);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * random() - 1);

/** A tensor's elements at one index of an axis, as an array of the other axes. */
function sliceOf(data: ArrayLike<number>, shape: readonly number[], axis: number, at: number): number[] {
  const inner = shape.slice(axis + 1).reduce((size, dim) => size * dim, 1);
  return Array.from(data).filter((_, i) => Math.floor(i / inner) % shape[axis]! === at);
}

/** Holds vmap(f) against f of one slice after another: by the reference, and on every target. */
async function expectLoop(
  f: (...slices: AnyTensor[]) => AnyTensor,
  inputs: readonly { shape: readonly number[]; axis: number | null; data: ArrayLike<number>; dtype?: 'i32' }[],
): Promise<void> {
  const axes = inputs.map(({ axis }) => axis);
  const given = inputs.map(({ shape, dtype }, i) => input(`x${i}`, shape, dtype ?? 'f32'));
  const y = (vmap(f, { axes }) as (...tensors: AnyTensor[]) => AnyTensor)(...given);
  const size = inputs.find(({ axis }) => axis !== null)!;
  const expected = Array.from({ length: size.shape[size.axis!]! }, (_, at) => {
    const slices = inputs.map(({ shape, axis, dtype }, i) =>
      input(`x${i}`, axis === null ? shape : shape.toSpliced(axis, 1), dtype ?? 'f32'),
    );
    const values = inputs.map(({ shape, axis, data }) => (axis === null ? data : sliceOf(data, shape, axis, at)));
    const arrays = Object.fromEntries(values.map((value, i) => [`x${i}`, value]));
    return [...interpret({ y: f(...slices) }, arrays).y.data];
  }).flat();
  const arrays = Object.fromEntries(
    inputs.map(({ data, dtype }, i) => [
      `x${i}`,
      dtype === undefined ? Float32Array.from(data) : Int32Array.from(data),
    ]),
  );
  expectClose(interpret({ y }, arrays).y.data, expected, 1e-9);
  const results = await everywhere(func({ inputs: given as never, outputs: { y } }), arrays);
  for (const found of Object.values(results)) expectClose(found.y!, expected, 1e-5);
}

describe('vmap is a loop', () => {
  const vectors = (count: number, length: number) => ({
    shape: [count, length],
    axis: 0,
    data: numbers(count * length),
  });

  it('over layers, with weights that all indices share', () => {
    return expectLoop(
      (x, weight) => softmax(x!.matmul(weight!).tanh() as AnyTensor),
      [vectors(5, 6), { shape: [6, 4], axis: null, data: numbers(24) }],
    );
  });

  it('over axes counted from either end, one after another', async () => {
    await expectLoop(
      (x, y) => x!.mul(y!).sum(0) as AnyTensor,
      [
        { shape: [3, 5, 2], axis: 1, data: numbers(30) },
        { shape: [2, 5], axis: 1, data: numbers(10) },
      ],
    );
    const x = input('x', [3, 5]);
    const y = vmap((column: Tensor<[3], 'f32'>) => column.sum(), { axes: [-1] })(x);
    expectTypeOf(y).toEqualTypeOf<Tensor<[5], 'f32'>>();
    expectClose(
      interpret({ y }, { x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] }).y.data,
      [18, 21, 24, 27, 30],
    );
  });

  it('over images and kernels, each or both', async () => {
    const image = { shape: [4, 1, 2, 6, 6], axis: 0, data: numbers(288) };
    const kernels = { shape: [4, 4, 2, 3, 3], axis: 0, data: numbers(288) };
    const f = (x: AnyTensor, w: AnyTensor): AnyTensor => conv(x, w, { padding: 'same' });
    const one = { shape: [4, 2, 3, 3], axis: null, data: numbers(72) };
    await expectLoop(f as never, [image, one]);
    await expectLoop(f as never, [{ shape: [1, 2, 6, 6], axis: null, data: numbers(72) }, kernels]);
    await expectLoop(f as never, [image, kernels]);
  });

  it('over indices, sorting, choices and pooling', async () => {
    const table = { shape: [7, 3], axis: null, data: numbers(21) };
    const indices = { shape: [5, 2], axis: 0, data: [0, 6, 3, 3, 1, 2, 5, 4, 0, 0], dtype: 'i32' as const };
    await expectLoop((x, i) => gather(x!, i! as never, 0) as AnyTensor, [table, indices]);
    await expectLoop((x) => sort(x!, 0).values as AnyTensor, [vectors(3, 9)]);
    await expectLoop((x) => where(x!.gt(0), x!, x!.exp()) as AnyTensor, [vectors(4, 5)]);
    await expectLoop((x) => nn.maxPool(2)(x! as never), [{ shape: [3, 1, 2, 4, 4], axis: 0, data: numbers(96) }]);
  });

  it('within another', () =>
    expectLoop(
      (rows, x) => vmap((row: AnyTensor) => row.mul(x! as AnyTensor).sum())(rows!) as AnyTensor,
      [
        { shape: [3, 4, 2], axis: 0, data: numbers(24) },
        { shape: [3, 2], axis: 0, data: numbers(6) },
      ],
    ));

  it('over loops and branches, whose steps and choices differ by index', async () => {
    const sums = (row: AnyTensor): AnyTensor =>
      scan(row.sum() as AnyTensor, row, (total: AnyTensor, one: AnyTensor) => {
        const next = total.mul(0.5).add(one) as AnyTensor;
        return [next, next];
      })[1] as AnyTensor;
    await expectLoop((row) => sums(row!), [vectors(3, 4)]);
    const halved = (v: AnyTensor): AnyTensor =>
      whileLoop(
        v,
        (w: AnyTensor) => w.abs().max().gt(0.1) as never,
        (w: AnyTensor) => w.mul(0.5) as AnyTensor,
        {
          limit: 20,
        },
      ) as AnyTensor;
    await expectLoop((v) => halved(v!), [vectors(5, 2)]);
    const either = (v: AnyTensor): AnyTensor =>
      cond(
        v.sum().gt(0) as never,
        () => v.exp() as AnyTensor,
        () => v.mul(3) as AnyTensor,
      ) as AnyTensor;
    await expectLoop((v) => either(v!), [vectors(6, 2)]);
  });

  it('of gradients, and of gradients of gradients', async () => {
    const f = (x: AnyTensor): AnyTensor => x.sin().mul(x).sum() as AnyTensor;
    await expectLoop((x) => grad(f(x!), x!) as AnyTensor, [vectors(4, 3)]);
    await expectLoop(
      (x) => grad((grad(f(x!), x!) as AnyTensor).square().sum() as AnyTensor, x!) as AnyTensor,
      [vectors(4, 3)],
    );
  });

  it('that can be differentiated', () => {
    const w = variable('w', [3], { initial: [1, 2, 3] });
    const x = input('x', [4, 3]);
    const loss = vmap((row: Tensor<[3], 'f32'>) => row.mul(w).sum().square())(x).sum();
    const data = [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1];
    // Σ 2 (row · w) row
    expectClose(interpret({ g: grad(loss, w) }, { x: data }).g.data, [2 + 12, 4 + 12, 6 + 12]);
  });

  it('gives results that do not vary for every index, lists and names', () => {
    const c = input('c', [2]);
    const x = input('x', [3, 2]);
    const { all, both } = {
      all: vmap((row: Tensor<[2], 'f32'>) => ({ row, c }))(x),
      both: vmap((row: Tensor<[2], 'f32'>) => [row.sum(), c])(x),
    };
    expect(all.c.shape).toEqual([3, 2]);
    expect(both.map(({ shape }) => shape)).toEqual([[3], [3, 2]]);
    expect(vmap((y: Tensor<[2], 'f32'>) => y.add(1), { axes: [null], size: 4 })(c).shape).toEqual([4, 2]);
  });
});

describe('what vmap refuses names the argument and the line', () => {
  const x = input('x', [3, 2]);
  const y = input('y', [4, 2]);
  /** As callers without types see it. */
  const untyped = vmap as unknown as (f: unknown, options?: unknown) => (...operands: unknown[]) => unknown;

  it.each([
    [
      'sizes that differ',
      () => untyped((a: AnyTensor, b: AnyTensor) => a.add(b))(x, y),
      /vmap: 3 indices expected, argument 2 \(y: f32\[4,2\]\) along axis 0 has 4/,
    ],
    [
      'an axis that does not exist',
      () => untyped((a: AnyTensor) => a, { axes: [2] })(x),
      /vmap: argument 1\(x: f32\[3,2\]\): axis 2 does not exist/,
    ],
    [
      'nothing to walk',
      () => untyped((a: AnyTensor) => a, { axes: [null] })(x),
      /at least one argument with an axis to walk expected/,
    ],
    [
      'something else than tensors',
      () => untyped(() => 3)(x),
      /vmap: result must be a tensor, a list or a record of tensors, or null; number given/,
    ],
    ['a result that is no tensor', () => untyped(() => ({ a: 1 }))(x), /vmap: result.a must be a tensor, number given/],
    [
      'more axes than arguments',
      () => untyped((a: AnyTensor) => a, { axes: [0, 0] })(x),
      /an axis for each of 1 arguments expected, 2 given/,
    ],
    [
      'a replacement of another shape',
      () => untyped((a: AnyTensor) => a, { replacing: [[x, y]] })(x),
      /a replacement with one axis more in front expected/,
    ],
  ])('%s', (_what, call, message) => {
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ source: expect.objectContaining({ file: 'test/vmap.test.ts' }) }));
  });

  it('what stands for a slice is refused outside of the function', () => {
    const kept: AnyTensor[] = [];
    vmap((a: Tensor<[2], 'f32'>) => {
      kept.push(a.exp());
      return a;
    })(x);
    expect(() => func({ inputs: [x], outputs: { y: kept[0]! } })).toThrow(
      /x, which the function given to vmap was called with, is used outside of that function/,
    );
  });

  it('an operation inside is refused for one slice, at its own line', () => {
    expect(() => untyped((a: AnyTensor) => a.matmul(input('w', [3, 3])))(x)).toThrow(
      /matmul\(x: f32\[2\], w: f32\[3,3\]\)/,
    );
  });
});

describe('gradients of every example', () => {
  const model = () => nn.sequential(nn.dense(20, 16), nn.relu, nn.dense(16, 12), nn.relu, nn.dense(12, 3));

  function perExample(examples: number) {
    const network = model();
    const x = input('x', [examples, 20]);
    const y = input('y', [examples], 'i32');
    const loss = (one: AnyTensor, label: AnyTensor): AnyTensor =>
      nn.crossEntropy(network(one.reshape([1, 20])), label.reshape([1]) as never).sum();
    const gradients = vmap((one: AnyTensor, label: AnyTensor) => grad(loss(one, label), network.variables))(
      x,
      y,
    ) as readonly AnyTensor[];
    const together = grad(nn.crossEntropy(network(x), y).sum(), network.variables) as readonly AnyTensor[];
    const named = (list: readonly AnyTensor[], prefix: string) =>
      Object.fromEntries(list.map((g, i) => [`${prefix}${i}`, g]));
    return { x, y, gradients, each: named(gradients, 'g'), sums: named(together, 's') };
  }

  it('add up to the gradient of the sum, on every target', async () => {
    const { x, y, each, sums } = perExample(6);
    const inputs = { x: numbers(120), y: Int32Array.of(0, 1, 2, 0, 2, 1) };
    const results = await everywhere(func({ inputs: [x, y], outputs: { ...each, ...sums } }), inputs);
    for (const found of Object.values(results))
      for (let i = 0; i < 6; i++) {
        const whole = found[`s${i}`]!;
        const parts = found[`g${i}`]!;
        const added = Array.from(whole, (_, j) =>
          [0, 1, 2, 3, 4, 5].reduce((sum, n) => sum + parts[n * whole.length + j]!, 0),
        );
        expectClose(added, whole, 1e-5);
      }
  });

  it('take no more kernels than the gradient of the sum, on a CPU or a GPU', () => {
    const { x, y, each, sums } = perExample(64);
    const counts = (outputs: typeof each, options: CompileOptions): number =>
      compileToProgram(func({ inputs: [x, y], outputs }).func, options).steps.length;
    for (const options of [{}, { machine: gpuMachine(defaultGpu) }])
      expect(counts(each, options)).toBeLessThanOrEqual(counts(sums, options));
  });
});

describe('attention written for one head', () => {
  it('is one kernel under two vmaps, as it is by hand', () => {
    const [places, heads, size] = [64, 4, 16];
    const [q, k, v] = ['q', 'k', 'v'].map((name) => input(name, [8, places, heads, size]));
    const seen: AnyTensor = iota([places, places], 1).le(iota([places, places], 0));
    const head = (a: AnyTensor, b: AnyTensor, c: AnyTensor): AnyTensor => {
      const likeness: AnyTensor = a.matmul(b.transpose([1, 0])).mul(size ** -0.5);
      return (softmax(where(seen, likeness, -1e9) as AnyTensor) as AnyTensor).matmul(c);
    };
    const heads4 = (a: AnyTensor, b: AnyTensor, c: AnyTensor): AnyTensor =>
      (vmap(head, { axes: [1, 1, 1] }) as typeof head)(a, b, c);
    const y = (vmap(heads4) as typeof head)(q!, k!, v!);
    const definition = func({ inputs: [q!, k!, v!], outputs: { y } });
    expect(y.shape).toEqual([8, heads, places, size]);
    for (const options of [{}, { machine: gpuMachine(defaultGpu) }])
      expect(compileToProgram(definition.func, options).steps).toHaveLength(1);
  });
});

describe('an ensemble', () => {
  const member = (): nn.Layer => nn.sequential(nn.dense(4, 8), nn.tanh, nn.dense(8, 2));

  it('is its members side by side, each with its own first weights', async () => {
    const made: nn.Layer[] = [];
    const together = nn.ensemble(3, () => {
      const layer = member();
      made.push(layer);
      return layer;
    });
    const x = input('x', [5, 4]);
    const data = numbers(20);
    const y = together(x);
    expect(y.shape).toEqual([3, 5, 2]);
    expect(together.variables.map(({ name, shape }) => [name, shape])).toEqual([
      ['ensemble1.dense1.weight', [3, 4, 8]],
      ['ensemble1.dense1.bias', [3, 8]],
      ['ensemble1.dense2.weight', [3, 8, 2]],
      ['ensemble1.dense2.bias', [3, 2]],
    ]);
    const expected = made.flatMap((layer) => [...interpret({ y: layer(x) }, { x: data }).y.data]);
    expectClose(interpret({ y }, { x: data }).y.data, expected, 1e-6);
    const results = await everywhere(func({ inputs: [x], outputs: { y } }), { x: data });
    for (const found of Object.values(results)) expectClose(found.y!, expected, 1e-5);
  });

  it('trains every member as if it were alone, with inputs of their own, running statistics included', () => {
    const made: nn.Layer[] = [];
    const make = (): nn.Layer => {
      const layer = nn.sequential(nn.dense(4, 3), nn.batchNorm(3));
      made.push(layer);
      return layer;
    };
    const together = nn.ensemble(2, make, { inputs: 'own' });
    const x = input('x', [2, 5, 4]);
    const data = numbers(40);
    const gradient = (layer: nn.Layer, given: AnyTensor): AnyTensor =>
      grad(
        layer(given as never)
          .square()
          .mul(given.sum())
          .sum() as AnyTensor,
        layer.variables[0]!,
      ) as AnyTensor;
    const found = interpret(
      {
        g: grad(
          together(x)
            .square()
            .mul(x.sum([1, 2], { keepDims: true }))
            .sum() as AnyTensor,
          together.variables[0]!,
        ) as AnyTensor,
        s: [...together.updates()][0]![1],
      },
      { x: data },
    );
    const alone = made.map((layer, i) => {
      const one = input('x', [5, 4]);
      const g = gradient(layer, one);
      return interpret({ g, s: [...layer.updates()].at(0)![1] }, { x: data.subarray(20 * i, 20 * (i + 1)) });
    });
    expectClose(
      found.g.data,
      alone.flatMap(({ g }) => [...g.data]),
      1e-6,
    );
    expect(found.s.shape).toEqual([2, 3]);
    expectClose(found.s.data.slice(3), [...alone[1]!.s.data], 1e-6);
  });

  it('takes as many kernels for many members as for few: those of one model, and copies of weights side by side', () => {
    const kernels = (layer: nn.Layer): number => {
      const x = input('x', [32, 4]);
      return compileToProgram(func({ inputs: [x], outputs: { y: layer(x) } }).func).steps.length;
    };
    expect(kernels(nn.ensemble(8, member))).toBe(kernels(nn.ensemble(16, member)));
    expect(kernels(nn.ensemble(8, member))).toBeLessThanOrEqual(kernels(member()) + 2);
  });

  it('refuses members that differ, and inputs of another number of members', () => {
    expect(() => nn.ensemble(2, (i) => nn.dense(4, 2 + i))).toThrow(
      /ensemble1: members with variables of the same types expected; member 1 has f32\[4,2\], f32\[2\], member 2 has f32\[4,3\]/,
    );
    expect(() => nn.ensemble(2, member, { inputs: 'own' })(input('x', [3, 4]))).toThrow(/an input of 2 members/);
  });
});
