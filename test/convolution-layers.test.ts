// Convolution layers against literal values, computed apart from this project in Python by the plain definition as nested
// loops over integers; a transposed convolution is checked as the adjoint of the convolution with the mirrored kernel.

import { type AnyTensor, constant, func, grad, input, interpret, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectClose } from './helpers/close.ts';
import { evaluated, expectResult, given, imageElements, images, sizeOf, weights } from './helpers/layers.ts';

beforeEach(() => nn.resetNames());

interface ConvCase {
  readonly what: string;
  readonly layer: () => nn.Layer;
  readonly x: readonly number[];
  readonly shape: readonly number[];
  readonly elements: readonly number[];
}

const convolutions: readonly ConvCase[] = [
  {
    what: 'conv1d, valid',
    layer: () => nn.conv1d(2, 2, 3, weights),
    x: [1, 2, 5],
    shape: [1, 2, 3],
    elements: [16, -8, -11, -6, 6, 4],
  },
  {
    what: 'conv1d, same',
    layer: () => nn.conv1d(2, 2, 3, { ...weights, padding: 'same' }),
    x: [1, 2, 5],
    shape: [1, 2, 5],
    elements: [-3, 16, -8, -11, 11, 4, -6, 6, 4, -5],
  },
  {
    what: 'conv1d, same with an even kernel: the odd cell of padding at the end',
    layer: () => nn.conv1d(1, 1, 4, { ...weights, padding: 'same' }),
    x: [1, 1, 5],
    shape: [1, 1, 5],
    elements: [-5, 4, 4, -5, 7],
  },
  {
    what: 'conv1d, same with stride 2',
    layer: () => nn.conv1d(2, 2, 3, { ...weights, padding: 'same', strides: 2 }),
    x: [1, 2, 5],
    shape: [1, 2, 3],
    elements: [-3, -8, 11, 4, 6, -5],
  },
  {
    what: 'conv1d, dilated',
    layer: () => nn.conv1d(1, 1, 3, { ...weights, dilation: 2 }),
    x: [2, 1, 6],
    shape: [2, 1, 2],
    elements: [3, -7, 6, 3],
  },
  {
    what: 'conv1d, padding 2 before and 1 after, stride above the kernel',
    layer: () => nn.conv1d(1, 1, [2], { ...weights, padding: [[2, 1]], strides: [3] }),
    x: [1, 1, 4],
    shape: [1, 1, 2],
    elements: [0, -4],
  },
  {
    what: 'conv2d, valid',
    layer: () => nn.conv2d(2, 2, 2, weights),
    x: [1, 2, 3, 4],
    shape: [1, 2, 2, 3],
    elements: [11, -6, -9, -1, -18, 7, -10, -10, 4, 4, 4, 4],
  },
  {
    what: 'conv2d, same',
    layer: () => nn.conv2d(1, 1, 3, { ...weights, padding: 'same' }),
    x: [1, 1, 3, 3],
    shape: [1, 1, 3, 3],
    elements: [4, -9, 6, -16, 8, -3, 1, 0, -11],
  },
  {
    what: 'conv2d, strided, padding 1, a kernel of 3 × 2',
    layer: () => nn.conv2d(1, 1, [3, 2], { ...weights, strides: [2, 1], padding: 1 }),
    x: [1, 1, 5, 4],
    shape: [1, 1, 3, 5],
    elements: [-12, 5, 0, 2, 2, 5, -5, -1, 3, 3, 1, -7, 7, 7, -5],
  },
  {
    what: 'conv2d, dilated by 2 and 3',
    layer: () => nn.conv2d(1, 1, 2, { ...weights, dilation: [2, 3] }),
    x: [1, 1, 4, 5],
    shape: [1, 1, 2, 2],
    elements: [4, -10, 4, 4],
  },
  {
    what: 'conv2d, same, strided and dilated',
    layer: () => nn.conv2d(1, 1, [2, 3], { ...weights, padding: 'same', strides: 2, dilation: [2, 1] }),
    x: [1, 1, 5, 4],
    shape: [1, 1, 3, 2],
    elements: [8, -2, 4, -7, 0, 8],
  },
  {
    what: 'conv2d, two groups',
    layer: () => nn.conv2d(4, 4, 2, { ...weights, groups: 2 }),
    x: [1, 4, 2, 3],
    shape: [1, 4, 1, 2],
    elements: [24, -14, 0, 0, 8, -3, 18, 6],
  },
  {
    what: 'conv2d, depthwise',
    layer: () => nn.conv2d(3, 3, 2, { ...weights, groups: 3 }),
    x: [1, 3, 3, 3],
    shape: [1, 3, 2, 2],
    elements: [16, -5, 2, 2, 6, -4, 4, 8, 14, -2, 1, -1],
  },
  {
    what: 'conv2d, depthwise with two results per channel',
    layer: () => nn.conv2d(2, 4, [1, 2], { ...weights, groups: 2 }),
    x: [1, 2, 2, 3],
    shape: [1, 4, 2, 2],
    elements: [8, -4, 7, -5, 7, -2, 8, -1, 6, -4, 4, -6, 2, -5, 2, -5],
  },
  {
    what: 'conv3d, valid',
    layer: () => nn.conv3d(1, 2, 2, weights),
    x: [1, 1, 2, 3, 3],
    shape: [1, 2, 1, 2, 2],
    elements: [22, -9, 6, 10, -1, 13, -8, 13],
  },
  {
    what: 'conv3d, same, strided',
    layer: () => nn.conv3d(2, 1, [2, 1, 3], { ...weights, padding: 'same', strides: [2, 1, 2] }),
    x: [1, 2, 3, 2, 3],
    shape: [1, 1, 2, 2, 2],
    elements: [7, -10, 5, -11, -2, -6, -1, 0],
  },
];

describe('convolutions', () => {
  it.each(convolutions)('$what', ({ layer, x, shape, elements }) => {
    expectResult(layer()(images(...x)), shape, elements);
  });

  it('in compiled C', async () => {
    const inputs = convolutions.map(({ x }, i) => input(`x${i}`, x));
    const outputs = Object.fromEntries(convolutions.map(({ layer }, i) => [`y${i}`, layer()(inputs[i]!) as AnyTensor]));
    const run = await compile<Record<string, Float32Array>, Record<string, Float32Array>>(
      func({ name: 'convolutions', inputs, outputs }),
      { target: 'c' },
    );
    const found = run(
      Object.fromEntries(convolutions.map(({ x }, i) => [`x${i}`, Float32Array.from(imageElements(x))])),
    );
    convolutions.forEach(({ elements }, i) => {
      expectClose(found[`y${i}`]!, elements, 0);
    });
  });

  it('add one bias per output channel', () => {
    const layer = nn.conv2d(2, 2, 2, weights);
    const found = interpret({ y: layer(images(1, 2, 3, 4)) }, { 'conv2d1.bias': [100, 200] }).y;
    expectClose(found.data, [111, 94, 91, 99, 82, 107, 190, 190, 204, 204, 204, 204]);
    expect(nn.conv2d(2, 2, 2, { bias: false }).variables.map(({ name }) => name)).toEqual(['conv2d2.weight']);
  });

  it('refuse channels, kernels, groups and ranks that do not fit, by name', () => {
    const x = input('x', [2, 3, 4]);
    expect(() => nn.conv1d(5, 4, 3)(x)).toThrow(
      /conv\(x: f32\[2,3,4\], conv1d1.weight: f32\[4,5,3\]\): 3 input channels in 1 groups/,
    );
    expect(() => nn.conv1d(3, 4, 5)(x)).toThrow(
      /the kernel spans 5 elements of spatial axis 0, the padded image has 4/,
    );
    expect(() => nn.conv2d(3, 4, 3)(x)).toThrow(
      /images \[N, channels, spatial..\] and kernels .* of one rank expected/,
    );
    expect(() => nn.conv2d(3, 4, 3, { groups: 2, name: 'edges' })).toThrow(
      'edges: 3 inputs and 4 outputs cannot be cut into 2 groups',
    );
    expect(() => nn.conv2d(3, 4, [3, 3, 3], { name: 'edges' })).toThrow(
      'edges: kernel: one number, or one for each of 2 spatial axes, expected; [3,3,3] given',
    );
    expect(() => nn.conv1d(3, 4, 3, { strides: [1, 2] })(x)).toThrow(/^conv.*strides/);
    expect(() => nn.conv1d(3, 4, 3, { strides: 0 })(x)).toThrow(/^conv.*strides/);
  });
});

interface TransposeCase {
  readonly what: string;
  readonly transpose: (options: nn.ConvTransposeOptions) => nn.Layer;
  readonly convolution: (options: nn.ConvLayerOptions) => nn.Layer;
  /** Of the transposed convolution's operand. */
  readonly small: readonly number[];
  readonly large: readonly number[];
  readonly options: nn.ConvTransposeOptions;
}

const transposes: readonly TransposeCase[] = [
  {
    what: 'of one axis',
    transpose: (options) => nn.convTranspose1d(2, 3, 3, options),
    convolution: (options) => nn.conv1d(3, 2, 3, options),
    small: [2, 2, 4],
    large: [2, 3, 6],
    options: {},
  },
  {
    what: 'of one axis, strided, with unequal padding',
    transpose: (options) => nn.convTranspose1d(2, 3, 4, options),
    convolution: (options) => nn.conv1d(3, 2, 4, options),
    small: [1, 2, 4],
    large: [1, 3, 10],
    options: { strides: 3, padding: [[1, 2]] },
  },
  {
    what: 'of two axes, padding 1',
    transpose: (options) => nn.convTranspose2d(3, 2, [3, 2], options),
    convolution: (options) => nn.conv2d(2, 3, [3, 2], options),
    small: [1, 3, 3, 4],
    large: [1, 2, 5, 3],
    options: { strides: [2, 1], padding: 1 },
  },
  {
    what: 'of two axes, same',
    transpose: (options) => nn.convTranspose2d(1, 2, 3, options),
    convolution: (options) => nn.conv2d(2, 1, 3, options),
    small: [1, 1, 2, 3],
    large: [1, 2, 4, 6],
    options: { strides: 2, padding: 'same' },
  },
  {
    what: 'of two axes, same, a stride above the kernel',
    transpose: (options) => nn.convTranspose2d(1, 1, 2, options),
    convolution: (options) => nn.conv2d(1, 1, 2, options),
    small: [1, 1, 2, 3],
    large: [1, 1, 6, 9],
    options: { strides: 3, padding: 'same' },
  },
  {
    what: 'of two axes in two groups',
    transpose: (options) => nn.convTranspose2d(4, 6, 2, options),
    convolution: (options) => nn.conv2d(6, 4, 2, options),
    small: [1, 4, 2, 2],
    large: [1, 6, 4, 4],
    options: { strides: 2, groups: 2 },
  },
  {
    what: 'of three axes',
    transpose: (options) => nn.convTranspose3d(1, 2, [2, 1, 3], options),
    convolution: (options) => nn.conv3d(2, 1, [2, 1, 3], options),
    small: [1, 1, 2, 2, 3],
    large: [1, 2, 4, 2, 5],
    options: { strides: [2, 1, 1] },
  },
];

/** The kernel [in, out / groups, K..] of the convolution that a weight [out, in / groups, K..] transposes. */
function mirrored(weight: ArrayLike<number>, shape: readonly number[], groups: number): number[] {
  const [outputs, perGroup] = [shape[0]! / groups, shape[1]!];
  const taps = sizeOf(shape.slice(2));
  const kernel = new Array<number>(sizeOf(shape)).fill(0);
  for (let group = 0; group < groups; group++)
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < perGroup; i++)
        for (let tap = 0; tap < taps; tap++) {
          const from = ((group * outputs + o) * perGroup + i) * taps + tap;
          kernel[((group * perGroup + i) * outputs + o) * taps + (taps - 1 - tap)] = weight[from]!;
        }
  return kernel;
}

const innerProduct = (x: ArrayLike<number>, y: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + value * y[i]!, 0);

describe('transposed convolutions', () => {
  it('put the mirrored kernel at every stride-th cell, one for each element', () => {
    const layer = nn.convTranspose1d(1, 1, 3, { ...given(1, 10, 100), strides: 2 });
    expectResult(layer(constant([[[1, 2, 3]]])), [1, 1, 7], [100, 10, 201, 20, 302, 30, 3]);
    const cut = nn.convTranspose1d(1, 1, 3, { ...given(1, 10, 100), strides: 2, padding: [[1, 2]] });
    expectResult(cut(constant([[[1, 2, 3]]])), [1, 1, 4], [10, 201, 20, 302]);
  });

  it.each(transposes)(
    'are the adjoint $what: ⟨conv x, y⟩ = ⟨x, convᵀ y⟩',
    ({ transpose, convolution, small, large, options }) => {
      const layer = transpose({ ...options, ...weights, bias: false });
      const weight = layer.variables[0]!;
      const kernel = mirrored(weight.initial(), weight.type.shape, options.groups ?? 1);
      const forward = convolution({ ...options, initializer: () => kernel, bias: false });
      const y = imageElements(small);
      const x = imageElements(large).reverse();
      const [image, result] = [
        evaluated(forward(constant(x, { shape: large }))),
        evaluated(layer(constant(y, { shape: small }))),
      ];
      expect(image.shape).toEqual(small);
      expect(result.shape).toEqual(large);
      expect(innerProduct(image.data, y)).toBe(innerProduct(x, result.data));
      // Every element, not only one product: the adjoint is the gradient of ⟨conv x, y⟩.
      const variable: AnyTensor = input('x', large);
      const product: AnyTensor = (forward(variable) as AnyTensor).mul(constant(y, { shape: small }) as AnyTensor).sum();
      expectClose(interpret({ slope: grad(product, variable) as AnyTensor }).slope.data, result.data);
    },
  );

  it('in compiled C agree with the reference, with a bias per channel', async () => {
    const x = input('x', [1, 4, 2, 2]);
    const layer = nn.convTranspose2d(4, 6, 2, { strides: 2, groups: 2, ...weights });
    const run = await compile(func({ name: 'transposed', inputs: [x], outputs: { y: layer(x) as AnyTensor } }), {
      target: 'c',
    });
    const bias = [1, 2, 3, 4, 5, 6];
    run.state.set('convTranspose2d1.bias', Float32Array.from(bias));
    const elements = imageElements([1, 4, 2, 2]);
    const wanted = interpret({ y: layer(x) }, { x: elements, 'convTranspose2d1.bias': bias }).y;
    expectClose(run({ x: Float32Array.from(elements) }).y, wanted.data, 0);
  });

  it('refuse groups, strides, padding and ranks that do not fit, by name', () => {
    expect(() => nn.convTranspose1d(3, 4, 3, { groups: 2 })).toThrow(
      'convTranspose1d1: 3 inputs and 4 outputs cannot be cut into 2 groups',
    );
    expect(() => nn.convTranspose1d(3, 4, 3, { strides: [2, 2], name: 'up' })).toThrow(
      'up: strides: one number, or one for each of 1 spatial axes, expected; [2,2] given',
    );
    expect(() => nn.convTranspose2d(3, 4, 3, { padding: [[1, 1]], name: 'up' })).toThrow(
      'up: 2 pairs of padding expected, 1 given',
    );
    expect(() => nn.convTranspose2d(3, 4, 3, { name: 'up' })(input('x', [1, 3, 5]))).toThrow(
      /up\(x: f32\[1,3,5\]\): images \[N, channels, spatial..\] expected with 2 spatial axes/,
    );
    expect(() => nn.convTranspose1d(5, 4, 3)(input('x', [1, 3, 5]))).toThrow(/3 input channels/);
  });
});
