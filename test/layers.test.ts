// Layers other than convolutions against literal values, computed apart from this project in Python: pooling by nested
// loops over the windows, normalisation with NumPy.

import { type AnyTensor, constant, func, grad, input, interpret, nn, UserError } from 'ashlar';
import { compile } from 'ashlar/node';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectClose } from './helpers/close.ts';
import { evaluated, expectResult, given, imageElements, images } from './helpers/layers.ts';

beforeEach(() => nn.resetNames());

describe('dense', () => {
  it('is x · weight + bias over the last axis', () => {
    const layer = nn.dense(3, 2, given(1, 10, 2, 20, 3, 30));
    const x = constant([
      [1, 0, 0],
      [1, 2, -1],
    ]);
    expectResult(layer(x), [2, 2], [1, 10, 2, 20]);
    const bias = { [`${layer.name}.bias`]: [0.5, -0.5] };
    expectClose(interpret({ y: layer(x) }, bias).y.data, [1.5, 9.5, 2.5, 19.5]);
    expectResult(layer(constant([[[1, 1, 1]]])), [1, 1, 2], [6, 60]);
    expectResult(layer(constant([1, 1, 1])), [2], [6, 60]);
  });

  it('has a weight and a bias that starts at 0, or no bias', () => {
    const described = (layer: nn.Layer) =>
      layer.variables.map(({ name, shape, trainable }) => [name, shape, trainable]);
    expect(described(nn.dense(3, 2))).toEqual([
      ['dense1.weight', [3, 2], true],
      ['dense1.bias', [2], true],
    ]);
    expect(described(nn.dense(3, 2, { bias: false, name: 'last' }))).toEqual([['last.weight', [3, 2], true]]);
    expect(Array.from(nn.dense(3, 2).variables[1]!.initial())).toEqual([0, 0]);
  });

  it('refuses another number of inputs by the name of its weight, and sizes that are no whole numbers', () => {
    expect(() => nn.dense(5, 2)(input('x', [2, 4]))).toThrow(
      /matmul\(x: f32\[2,4\], dense1.weight: f32\[5,2\]\): the last axis of the first \(4\).*second \(5\)/,
    );
    expect(() => nn.dense(3, 2.5)).toThrow(
      'variable dense2.weight: dimensions of whole numbers expected, [3,2.5] given',
    );
  });
});

describe('pooling', () => {
  const x = (): AnyTensor => images(1, 2, 4, 4);

  it('maxPool and avgPool over windows side by side', () => {
    expectResult(nn.maxPool(2)(x()), [1, 2, 2, 2], [3, 0, 2, 3, 0, 3, 3, 1]);
    expectResult(nn.avgPool(2)(x()), [1, 2, 2, 2], [0.75, -1.5, 0.5, 0, -1.5, 1.5, 0, -0.5]);
  });

  it('over windows that overlap and reach into padding, which neither counts nor wins', () => {
    expectResult(nn.maxPool(3, { strides: 2, padding: 'same' })(x()), [1, 2, 2, 2], [3, 3, 2, 3, 3, 3, 3, 1]);
    expectResult(
      nn.avgPool(3, { strides: 2, padding: 'same' })(x()),
      [1, 2, 2, 2],
      [2 / 9, -5 / 6, -0.5, 0, 1 / 9, 1, 1 / 6, -0.5],
    );
    expectResult(
      nn.maxPool([2, 3], { strides: [2, 1], padding: 1 })(x().sub(10)),
      [1, 2, 3, 4],
      [-8, -8, -8, -10, -7, -7, -7, -7, -9, -9, -8, -8, -10, -7, -7, -7, -7, -7, -7, -8, -8, -8, -8, -10],
    );
  });

  it('over dilated windows', () => {
    expectResult(nn.maxPool(2, { strides: 1, dilation: 2 })(x()), [1, 2, 2, 2], [2, 3, 3, 2, 3, 3, 2, 2]);
  });

  it('over one and three spatial axes', () => {
    expectResult(nn.maxPool(2)(images(1, 1, 4)), [1, 1, 2], [2, 0]);
    expectResult(nn.avgPool(2)(images(1, 1, 2, 2, 2)), [1, 1, 1, 1, 1], [-3 / 8]);
  });

  it('globalAvgPool and globalMaxPool leave [N, C]', () => {
    expectResult(nn.globalAvgPool()(x()), [1, 2], [-0.0625, -0.125]);
    expectResult(nn.globalMaxPool()(x()), [1, 2], [3, 3]);
  });

  it('refuses what has no spatial axes, and windows beyond the image', () => {
    for (const layer of [nn.maxPool(2), nn.avgPool(2), nn.globalAvgPool(), nn.globalMaxPool()])
      expect(() => layer(input('x', [2, 3]))).toThrow(
        `${layer.name}(x: f32[2,3]): images [N, channels, spatial..] expected`,
      );
    expect(() => nn.maxPool(5)(input('x', [2, 3, 4]))).toThrow(/the window spans 5 elements of axis 2, .* has 4/);
    expect(() => nn.maxPool(0)(input('x', [2, 3, 4]))).toThrow(/of at least 1 expected/);
  });
});

describe('batchNorm', () => {
  const shape = [2, 2, 1, 3];
  // Channel means −0.5 and 0.5, both variances 4.25 (5.1 unbiased).
  const x = (): AnyTensor => images(...shape);
  const outer = 1.2126766985040354;
  const inner = 0.24253533970080707;

  it('in training normalises by the statistics of the batch', () => {
    const normalised = [-outer, outer, inner, -outer, outer, inner, -inner, -outer, outer, -inner, -outer, outer];
    expectResult(nn.batchNorm(2)(x()), shape, normalised);
  });

  it('scales and shifts, with the ε of the options', () => {
    const layer = nn.batchNorm(2, { epsilon: 0.1, name: 'n' });
    const wanted = [-1.397316507426921, 3.397316507426921, 1.4794633014853842, -1.5993291268567302];
    wanted.push(-0.40067087314326977, -0.880134174628654, 0.5205366985146158, -1.397316507426921);
    wanted.push(3.397316507426921, -1.119865825371346, -1.5993291268567302, -0.40067087314326977);
    expectClose(interpret({ y: layer(x()) }, { 'n.scale': [2, 0.5], 'n.shift': [1, -1] }).y.data, wanted);
  });

  it('in inference normalises by the running statistics, and changes none', () => {
    const layer = nn.batchNorm(2, { name: 'n' });
    const wanted = [-1.7499978125041014, 0.7499990625017577, -0.24999968750058593, -1.9999600011999599];
    wanted.push(7.9998400047998395, 3.9999200023999197, -0.7499990625017577, -1.7499978125041014);
    wanted.push(0.7499990625017577, 1.9999600011999599, -1.9999600011999599, 7.9998400047998395);
    const state = { 'n.mean': [0.5, -1], 'n.variance': [4, 0.25] };
    expectClose(interpret({ y: layer(x(), 'infer') }, state).y.data, wanted);
    expect([...layer.updates()]).toEqual([]);
  });

  it('updates running averages from 0 and 1 by a tenth of the mean and of the unbiased variance', () => {
    const statisticsAfter = (layer: nn.Layer): number[][] => {
      layer(x());
      return [...layer.updates()].map(([, next]) => Array.from(evaluated(next).data));
    };
    const [mean, variance] = statisticsAfter(nn.batchNorm(2));
    expectClose(mean!, [-0.05, 0.05]);
    expectClose(variance!, [1.41, 1.41]);
    const [quickMean, quickVariance] = statisticsAfter(nn.batchNorm(2, { momentum: 0.25 }));
    expectClose(quickMean!, [-0.125, 0.125]);
    expectClose(quickVariance!, [2.025, 2.025]);
  });

  it('has a slope that is orthogonal to the constant and to the result', () => {
    // dx = (c − mean(c) − x̂ mean(c x̂)) / √(var + ε) per channel for c = 0, 1, …, 11: from NumPy.
    const slopes = [
      -1.7976152064118902, -1.5978795493994085, -0.9986748610421415, -1.7976152064118904, -1.5978795493994082,
      -0.9986748610421413, 0.9986748610421415, 1.5978795493994085, 1.7976152064118902, 0.9986748610421413,
      1.5978795493994082, 1.7976152064118904,
    ];
    const layer = nn.batchNorm(2);
    const image: AnyTensor = input('x', shape);
    const weight: AnyTensor = constant(
      Array.from({ length: 12 }, (_, i) => i),
      { shape },
    );
    const slope = grad((layer(image) as AnyTensor).mul(weight).sum(), image) as AnyTensor;
    const found = Array.from(interpret({ slope }, { x: imageElements(shape) }).slope.data);
    expectClose(found, slopes);
  });

  it('normalises [N, C] too', () => {
    const two = constant([
      [1, 10],
      [3, 30],
    ]);
    expectResult(nn.batchNorm(2, { epsilon: 0 })(two), [2, 2], [-1, -1, 1, 1]);
  });

  it('trains in compiled C, its statistics read by the name', async () => {
    const image = input('x', shape);
    const layer = nn.batchNorm(2, { name: 'n' });
    const y = layer(image) as AnyTensor;
    const run = await compile(func({ name: 'normalise', inputs: [image], outputs: { y }, updates: layer.updates() }), {
      target: 'c',
    });
    const elements = Float32Array.from(imageElements(shape));
    expectClose(run({ x: elements }).y.slice(0, 3), [-outer, outer, inner], 1e-6);
    expectClose(run.state.get('n.mean') as Float32Array, [-0.05, 0.05], 1e-6);
    run({ x: elements });
    expectClose(run.state.get('n.mean') as Float32Array, [-0.095, 0.095], 1e-6);
    expectClose(run.state.get('n.variance') as Float32Array, [1.779, 1.779], 1e-6);
  });

  it('trains scale and shift only, and refuses other channels', () => {
    const layer = nn.batchNorm(4);
    expect(layer.variables.map(({ name, trainable }) => [name, trainable])).toEqual([
      ['batchNorm1.scale', true],
      ['batchNorm1.shift', true],
      ['batchNorm1.mean', false],
      ['batchNorm1.variance', false],
    ]);
    for (const mode of ['train', 'infer'] as const)
      for (const wrong of [[2, 3, 4], [2, 1], [4]])
        expect(() => layer(input('x', wrong), mode)).toThrow(
          `batchNorm1(x: f32[${wrong}]): [N, channels, ..] of 4 channels expected`,
        );
  });
});

describe('layerNorm', () => {
  const x = constant([
    [1, 2, 4],
    [-1000, 0, 1000],
  ]);

  it('normalises over the last axis, then scales and shifts', () => {
    expectResult(
      nn.layerNorm(3)(x),
      [2, 3],
      [-1.0690415314502977, -0.26726038286257453, 1.3363019143128718, -1.2247448713824036, 0, 1.2247448713824036],
    );
    const layer = nn.layerNorm(3, { epsilon: 0.5, name: 'n' });
    expectClose(
      interpret({ y: layer(x) }, { 'n.scale': [1, 2, 3], 'n.shift': [0, 0, 1] }).y.data,
      [-0.9299811099505544, -0.46499055497527736, 4.487429162314578, -1.2247444121125206, 0, 4.674233236337562],
    );
  });

  it('normalises each image over all of its axes', () => {
    const values = [1, 2, 4, 8, -1000, 0, 1000, 50];
    const images = nn.layerNorm([1, 2, 2])(constant(values, { shape: [2, 1, 2, 2] }));
    const flat = nn.layerNorm(4)(constant(values, { shape: [2, 4] }));
    expectClose(interpret({ images }, {}).images.data, interpret({ flat }, {}).flat.data as never);
    const layer = nn.layerNorm([3, 4], { name: 'n' });
    expect(layer.variables.map(({ shape }) => shape)).toEqual([
      [3, 4],
      [3, 4],
    ]);
    expect(() => layer(input('x', [2, 4, 4]))).toThrow('n(x: f32[2,4,4]): last axes [3,4] expected');
    expect(() => nn.layerNorm([])).toThrow('the length of at least one last axis expected');
  });

  it('refuses another last axis, of one element too', () => {
    const layer = nn.layerNorm(3);
    for (const wrong of [[2, 4], [3, 1], []])
      expect(() => layer(input('x', wrong))).toThrow(`layerNorm1(x: f32[${wrong}]): a last axis of 3 expected`);
  });
});

describe('localResponseNorm', () => {
  it('divides by a power of the squares of neighbouring channels, fewer at the ends', () => {
    const x = constant([1, 2, 3, 4, 5, 6], { shape: [1, 3, 2] });
    // Channel 0 of the first position: 1 / (1 + ½·(1 + 9))^½, and so on.
    const roots = [1 + 5, 1 + 10, 1 + 17.5, 1 + 28, 1 + 17, 1 + 26].map(Math.sqrt);
    const expected = [1, 2, 3, 4, 5, 6].map((value, i) => value / roots[i]!);
    expectResult(nn.localResponseNorm(3, { bias: 1, alpha: 0.5, beta: 0.5 })(x), [1, 3, 2], expected);
  });

  it('has the constants of its paper, and refuses what has no spatial axis', () => {
    const x = constant([1, 2, 3, 4, 5], { shape: [1, 5, 1] });
    expectClose(interpret({ y: nn.localResponseNorm()(x) }).y.data.slice(2, 3), [3 * (2 + 1e-4 * 55) ** -0.75]);
    expect(() => nn.localResponseNorm()(input('x', [2, 3]))).toThrow('localResponseNorm(x: f32[2,3])');
  });
});

describe('layerTable', () => {
  it('has the shape, parameters and multiply-adds of every part', () => {
    const parts = {
      features: nn.sequential(nn.conv2d(4, 6, 3, { groups: 2, padding: 1 }), nn.relu),
      pool: nn.maxPool(2),
      classes: nn.sequential(nn.flatten(), nn.dense(6 * 4, 5, { bias: false })),
    };
    expect(nn.layerTable(input('x', [2, 4, 4, 4]), parts)).toEqual([
      { name: 'features', shape: [2, 6, 4, 4], parameters: 6 * 2 * 9 + 6, multiplyAdds: 2 * 6 * 16 * 2 * 9 },
      { name: 'pool', shape: [2, 6, 2, 2], parameters: 0, multiplyAdds: 0 },
      { name: 'classes', shape: [2, 5], parameters: 24 * 5, multiplyAdds: 2 * 24 * 5 },
    ]);
  });

  it('counts shared variables once, statistics never, and names a part that gives no tensor', () => {
    const shared = nn.dense(3, 3);
    const rows = nn.layerTable(input('x', [1, 3]), { first: shared, norm: nn.batchNorm(3), again: shared });
    expect(rows.map(({ parameters }) => parameters)).toEqual([12, 6, 0]);
    expect(rows.map(({ multiplyAdds }) => multiplyAdds)).toEqual([9, 0, 9]);
    const broken = Object.assign(() => 1, { variables: [], updates: () => [] }) as unknown as nn.Layer;
    expect(() => nn.layerTable(input('x', [1, 3]), { broken })).toThrow('layerTable, broken');
  });
});

describe('embedding', () => {
  it('looks rows up, and gathers the slopes of a row that is used twice', () => {
    const layer = nn.embedding(3, 2, { ...given(1, 2, 3, 4, 5, 6), name: 'words' });
    const indices: AnyTensor = constant([2, 0, 2], { shape: [1, 3], dtype: 'i32' });
    expectResult(layer(indices), [1, 3, 2], [5, 6, 1, 2, 5, 6]);
    const slope = grad(layer(indices).sum(), layer.variables[0]!) as AnyTensor;
    expectResult(slope, [3, 2], [1, 1, 0, 0, 2, 2]);
    expect(layer.name).toBe('words');
  });

  it('refuses what are no integers, and in compiled C indices out of range', async () => {
    const layer = nn.embedding(3, 2);
    expect(() => layer(input('x', [2]))).toThrow(
      /gather\(embedding1.weight: f32\[3,2\], x: f32\[2\]\): integer indices/,
    );
    const indices = input('indices', [2], 'i32');
    const run = await compile(
      func({ name: 'lookup', inputs: [indices], outputs: { y: layer(indices) as AnyTensor } }),
      { target: 'c' },
    );
    expect(() => run({ indices: Int32Array.of(0, 3) })).toThrow(
      /input "indices": indices from 0 to 2 expected, 3 given at element 1/,
    );
  });
});

describe('flatten, sequential and names', () => {
  it('flatten keeps the first axis', () => {
    expectResult(nn.flatten()(images(2, 1, 2, 2)), [2, 4], imageElements([2, 4]));
    expectResult(nn.flatten()(images(3)), [3, 1], imageElements([3]));
  });

  it('sequential applies layers and functions in order, in the mode given', () => {
    const norm = nn.batchNorm(2, { name: 'n', epsilon: 0 });
    const model = nn.sequential(nn.dense(1, 2, { ...given(1, -1), name: 'd' }), norm, nn.relu);
    const x = constant([[1], [3]]);
    expectResult(model(x), [2, 2], [0, 1, 1, 0]);
    expectResult(model(x, 'infer'), [2, 2], [1, 0, 3, 0]);
    expect(model.variables.map(({ name }) => name)).toEqual([
      ...['d.weight', 'd.bias', 'n.scale', 'n.shift', 'n.mean', 'n.variance'],
    ]);
    expect([...model.updates()].map(([{ name }]) => name)).toEqual(['n.mean', 'n.variance']);
  });

  it('sequential gives a function the tensor alone, not the mode', () => {
    expectResult(nn.sequential(nn.softmax)(constant([[0, Math.log(3)]])), [1, 2], [0.25, 0.75]);
  });

  it('sequential names what gives no tensor', () => {
    const model = nn.sequential(nn.dense(2, 2), nn.flatten as never);
    expect(() => model(constant([[0, 1]]))).toThrow(
      'sequential, layer 2 (flatten): a tensor as its result expected, function given',
    );
  });

  it('sequential takes an embedding first', () => {
    const model = nn.sequential(nn.embedding(3, 2, given(1, 2, 3, 4, 5, 6)), nn.flatten());
    expectResult(model(constant([2, 0], { shape: [1, 2], dtype: 'i32' }) as AnyTensor), [1, 4], [5, 6, 1, 2]);
    expect([...model.updates()]).toEqual([]);
    expect(model.variables.map(({ name }) => name)).toEqual(['embedding1.weight']);
  });

  it('sequential has the variables of a layer that stands twice once, and trains them', () => {
    const tied = nn.dense(2, 2, given(0, 1, 2, 0));
    const model = nn.sequential(tied, nn.sequential(tied));
    const x = constant([[1, 1]]);
    expectResult(model(x), [1, 2], [2, 2]);
    expect(model.variables.map(({ name }) => name)).toEqual(['dense1.weight', 'dense1.bias']);
    const updates = nn.sgd((model(x) as AnyTensor).sum(), model.variables, { lr: 1 });
    expect(() => func({ updates })).not.toThrow();
  });

  it('numbers layers by kind, from 1 after resetNames', () => {
    const names = () => [nn.dense(1, 1), nn.conv1d(1, 1, 1), nn.dense(1, 1)].map(({ name }) => name);
    expect(names()).toEqual(['dense1', 'conv1d1', 'dense2']);
    expect(names()).toEqual(['dense3', 'conv1d2', 'dense4']);
    nn.resetNames();
    expect(names()).toEqual(['dense1', 'conv1d1', 'dense2']);
  });

  it('a function with two layers of one name is refused', () => {
    const [a, b] = [nn.dense(2, 2, { name: 'same' }), nn.dense(2, 2, { name: 'same' })];
    const x = input('x', [1, 2]);
    expect(() => func({ inputs: [x], outputs: { y: b(a(x)) as AnyTensor } })).toThrow(UserError);
    expect(() => func({ inputs: [x], outputs: { y: b(a(x)) as AnyTensor } })).toThrow(
      /two variables are named same.weight/,
    );
  });
});
