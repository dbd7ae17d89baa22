// Activations, losses and metrics against literal values: those of the formulas in double precision, computed apart
// from this project with Python's math and SciPy. Values at ±1000 show where a plain formula overflows or cancels.

import { type AnyTensor, constant, func, grad, input, interpret, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { describe, expect, it } from 'vitest';
import { expectClose } from './helpers/close.ts';

const points = [-1000, -2, -0.5, 0, 0.5, 2, 1000];

interface ActivationCase {
  readonly name: string;
  readonly of: nn.Activation;
  readonly values: readonly number[];
  readonly slopes: readonly number[];
}

const activations: readonly ActivationCase[] = [
  { name: 'identity', of: nn.identity, values: points, slopes: [1, 1, 1, 1, 1, 1, 1] },
  { name: 'step', of: nn.step, values: [0, 0, 0, 1, 1, 1, 1], slopes: [0, 0, 0, 0, 0, 0, 0] },
  {
    name: 'sigmoid',
    of: nn.sigmoid,
    values: [0, 0.11920292202211755, 0.3775406687981454, 0.5, 0.6224593312018546, 0.8807970779778823, 1],
    slopes: [0, 0.10499358540350649, 0.2350037122015945, 0.25, 0.2350037122015945, 0.10499358540350649, 0],
  },
  {
    name: 'tanh',
    of: nn.tanh,
    values: [-1, -0.9640275800758169, -0.46211715726000974, 0, 0.46211715726000974, 0.9640275800758169, 1],
    slopes: [0, 0.07065082485316443, 0.7864477329659274, 1, 0.7864477329659274, 0.07065082485316443, 0],
  },
  {
    name: 'leakyRelu(0.1)',
    of: nn.leakyRelu(0.1),
    values: [-100, -0.2, -0.05, 0, 0.5, 2, 1000],
    slopes: [0.1, 0.1, 0.1, 0.1, 1, 1, 1],
  },
  {
    name: 'elu()',
    of: nn.elu(),
    values: [-1, -0.8646647167633873, -0.3934693402873666, 0, 0.5, 2, 1000],
    slopes: [0, 0.1353352832366127, 0.6065306597126334, 1, 1, 1, 1],
  },
  {
    name: 'gelu',
    of: nn.gelu,
    values: [0, -0.04550026389635843, -0.15426876936299347, 0, 0.3457312306370065, 1.9544997361036416, 1000],
    slopes: [0, -0.08523180107819692, 0.13250487534383718, 0.5, 0.8674951246561627, 1.085231801078197, 1],
  },
  {
    name: 'geluTanh',
    of: nn.geluTanh,
    values: [0, -0.04540230591222494, -0.15428599017485606, 0, 0.34571400982514394, 1.954597694087775, 1000],
    slopes: [0, -0.08609925662361825, 0.13263009646535764, 0.5, 0.8673699035346424, 1.0860992566236183, 1],
  },
  {
    name: 'softplus',
    of: nn.softplus,
    values: [0, 0.1269280110429725, 0.4740769841801067, Math.LN2, 0.9740769841801067, 2.1269280110429727, 1000],
    slopes: [0, 0.11920292202211755, 0.3775406687981454, 0.5, 0.6224593312018546, 0.8807970779778823, 1],
  },
  {
    name: 'silu',
    of: nn.silu,
    values: [0, -0.2384058440442351, -0.1887703343990727, 0, 0.3112296656009273, 1.7615941559557646, 1000],
    slopes: [0, -0.09078424878489544, 0.2600388126973482, 0.5, 0.7399611873026518, 1.0907842487848953, 1],
  },
  {
    name: 'rbf',
    of: nn.rbf,
    values: [0, 0.01831563888873418, 0.7788007830714049, 1, 0.7788007830714049, 0.01831563888873418, 0],
    slopes: [0, 0.07326255555493671, 0.7788007830714049, 0, -0.7788007830714049, -0.07326255555493671, 0],
  },
];

/** Elements of an expression of constants, by the float64 reference. */
const valuesOf = (tensor: AnyTensor, given: Record<string, ArrayLike<number>> = {}): number[] =>
  Array.from(interpret({ tensor }, given).tensor.data);

const vector = (...elements: number[]): AnyTensor => constant(elements, { shape: [elements.length] });
const integers = (...elements: number[]): AnyTensor => constant(elements, { shape: [elements.length], dtype: 'i32' });
const matrix = (...rows: number[][]): AnyTensor => constant(rows);

/** The gradient of the sum of `compute(x)` at `at`. */
function slopesOf(compute: (x: AnyTensor) => AnyTensor, at: readonly number[], shape = [at.length]): number[] {
  const x: AnyTensor = input('x', shape);
  return valuesOf(grad(compute(x).sum(), x) as AnyTensor, { x: at });
}

it('has these public names and no others', () => {
  const functions = Object.entries(nn).filter(([, value]) => typeof value === 'function');
  expect(functions.map(([name]) => name).sort()).toEqual(
    [
      ...['identity', 'step', 'sigmoid', 'tanh', 'relu', 'leakyRelu', 'elu', 'gelu', 'geluTanh', 'softplus', 'silu'],
      ...['rbf', 'softmax', 'logSoftmax'],
      ...['squaredError', 'absoluteError', 'huber', 'hinge', 'klDivergence', 'binaryCrossEntropy'],
      ...['binaryCrossEntropyWithLogits', 'crossEntropy', 'crossEntropyWithProbabilities'],
      ...['accuracy', 'topKAccuracy', 'confusionMatrix'],
      ...['dense', 'conv1d', 'conv2d', 'conv3d', 'convTranspose1d', 'convTranspose2d', 'convTranspose3d'],
      ...['maxPool', 'avgPool', 'globalMaxPool', 'globalAvgPool', 'flatten', 'batchNorm', 'layerNorm', 'embedding'],
      ...['localResponseNorm', 'dropout', 'gaussianNoise', 'sequential', 'ensemble', 'resetNames', 'setSeed'],
      ...['rnn', 'lstm', 'gru', 'rnnCell', 'lstmCell', 'gruCell', 'recurrent', 'multiHeadAttention'],
      ...['layerTable', 'gradientCheck', 'deadUnits', 'statistics', 'readStatistics'],
      ...['sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw', 'globalNorm'],
    ].sort(),
  );
  expect(Object.keys(nn.initializers).sort()).toEqual(
    [
      ...['zeros', 'ones', 'constant', 'uniform', 'normal', 'truncatedNormal', 'xavierUniform', 'xavierNormal'],
      ...['heUniform', 'heNormal', 'orthogonal', 'fansOf'],
    ].sort(),
  );
  expect(Object.keys(nn.schedules).sort()).toEqual(
    ['constant', 'stepDecay', 'exponentialDecay', 'cosine', 'polynomial', 'warmUp'].sort(),
  );
});

describe('activations', () => {
  it.each(activations)('$name and its derivative from −1000 to 1000', ({ of, values, slopes }) => {
    expectClose(valuesOf(of(vector(...points))), values);
    expectClose(slopesOf(of, points), slopes);
  });

  it('relu, whose derivative is 0 up to 0 and 1 above', () => {
    expectClose(valuesOf(nn.relu(vector(...points))), [0, 0, 0, 0, 0.5, 2, 1000]);
    expectClose(slopesOf(nn.relu, [-1000, -0.5, 0, 0.5, 1000]), [0, 0, 0, 1, 1]);
  });

  it('leakyRelu has slope 0.01 unless told, elu scales by α', () => {
    expectClose(valuesOf(nn.leakyRelu()(vector(-3, 3))), [-0.03, 3]);
    expectClose(valuesOf(nn.elu(2)(vector(-2, 3))), [2 * -0.8646647167633873, 3]);
  });

  it('keep NaN, and take infinities to their limits', () => {
    for (const { name, of } of activations.filter(({ name }) => name !== 'step'))
      expect(valuesOf(of(vector(Number.NaN))), name).toEqual([Number.NaN]);
    expect(valuesOf(nn.relu(vector(Number.NaN)))).toEqual([Number.NaN]);
    expectClose(valuesOf(nn.sigmoid(vector(-Infinity, Infinity))), [0, 1]);
    expectClose(valuesOf(nn.softplus(vector(-Infinity, Infinity))), [0, Infinity]);
  });

  it('keep shape and dtype', () => {
    const x = input('x', [2, 3], 'f64');
    for (const { name, of } of activations) {
      expect(of(x).shape, name).toEqual([2, 3]);
      expect(of(x).dtype, name).toBe('f64');
    }
  });

  it('in compiled C within single precision', async () => {
    const x = input('x', [points.length]);
    const outputs = Object.fromEntries(activations.map(({ of }, i) => [`f${i}`, of(x) as AnyTensor]));
    const slopes = Object.fromEntries(activations.map(({ of }, i) => [`d${i}`, grad(of(x).sum(), x) as AnyTensor]));
    const run = await compile(func({ name: 'activations', inputs: [x], outputs: { ...outputs, ...slopes } }), {
      target: 'c',
    });
    const found = run({ x: Float32Array.from(points) });
    activations.forEach(({ values, slopes }, i) => {
      expectClose(found[`f${i}`]!, values, 2e-6);
      expectClose(found[`d${i}`]!, slopes, 2e-6);
    });
  });
});

describe('softmax and logSoftmax', () => {
  it('of moderate numbers', () => {
    expectClose(valuesOf(nn.softmax(vector(1, 2, 3))), [0.09003057317038046, 0.24472847105479764, 0.6652409557748218]);
    expectClose(
      valuesOf(nn.logSoftmax(vector(1, 2, 3))),
      [-2.4076059644443806, -1.4076059644443804, -0.4076059644443804],
    );
  });

  it('neither overflow nor vanish at ±1000', () => {
    expectClose(valuesOf(nn.softmax(vector(1000, -1000, 999))), [0.7310585786300049, 0, 0.2689414213699951]);
    expectClose(
      valuesOf(nn.logSoftmax(vector(1000, -1000, 999))),
      [-0.31326168751822286, -2000.3132616875182, -1.3132616875182228],
    );
    expectClose(valuesOf(nn.softmax(vector(-1000, -1001))), [0.7310585786300049, 0.2689414213699951]);
    expectClose(valuesOf(nn.logSoftmax(vector(-1000, -1001))), [-0.31326168751822286, -1.3132616875182228]);
  });

  it('along another axis', () => {
    expectClose(
      valuesOf(nn.softmax(matrix([1, 2], [3, 5]), 0)),
      [0.11920292202211755, 0.04742587317756679, 0.8807970779778823, 0.9525741268224334],
    );
  });

  it('have the Jacobians diag(s) − s sᵀ and I − 1 sᵀ, also at extremes', () => {
    const first = (x: AnyTensor): AnyTensor => x.mul(vector(1, 0, 0));
    const rowOf = (of: (x: AnyTensor) => AnyTensor, at: number[]) => slopesOf((x) => first(of(x)), at);
    const [softmax, logSoftmax] = [(x: AnyTensor) => nn.softmax(x), (x: AnyTensor) => nn.logSoftmax(x)];
    expectClose(rowOf(softmax, [1, 2, 3]), [0.08192506906499324, -0.022033044520174298, -0.05989202454481893]);
    expectClose(rowOf(logSoftmax, [1, 2, 3]), [0.9099694268296196, -0.24472847105479764, -0.6652409557748218]);
    expectClose(rowOf(softmax, [1000, -1000, -1000]), [0, 0, 0]);
    expectClose(rowOf(logSoftmax, [-1000, 1000, -1000]), [1, -1, 0]);
  });

  it('refuse an axis that is not there', () => {
    expect(() => nn.softmax(vector(1, 2), 1)).toThrow(/axis 1/);
  });
});

describe('regression losses', () => {
  const prediction = vector(1, -2, 5, 0);
  const target = vector(1, 1, 1, 0.5);

  it('squaredError is (prediction − target)², with slope 2 (prediction − target)', () => {
    expectClose(valuesOf(nn.squaredError(prediction, target)), [0, 9, 16, 0.25]);
    expectClose(
      slopesOf((x) => nn.squaredError(x, target), [1, -2, 5, 0]),
      [0, -6, 8, -1],
    );
  });

  it('absoluteError is |prediction − target|, with slope 0 where they meet', () => {
    expectClose(valuesOf(nn.absoluteError(prediction, target)), [0, 3, 4, 0.5]);
    expectClose(
      slopesOf((x) => nn.absoluteError(x, target), [1, -2, 5, 0]),
      [0, -1, 1, -1],
    );
  });

  it('huber is d²/2 within δ and δ(|d| − δ/2) beyond, with slope d cut to ±δ', () => {
    expectClose(valuesOf(nn.huber(prediction, target)), [0, 2.5, 3.5, 0.125]);
    expectClose(valuesOf(nn.huber(prediction, target, 3)), [0, 4.5, 7.5, 0.125]);
    expectClose(valuesOf(nn.huber(vector(2, -1), vector(0, 0), 3)), [2, 0.5]);
    expectClose(valuesOf(nn.huber(vector(2, -1), vector(0, 0), 0.5)), [0.875, 0.375]);
    expectClose(
      slopesOf((x) => nn.huber(x, target), [1, -2, 5, 0]),
      [0, -1, 1, -0.5],
    );
    expectClose(
      slopesOf((x) => nn.huber(x, vector(0), 2), [1e200]),
      [2],
    );
  });

  it('hinge is max(0, 1 − t·prediction), with slope −t where it is positive', () => {
    const sides = vector(1, 1, -1, -1);
    expectClose(valuesOf(nn.hinge(vector(2, 0.25, 0.5, -1000), sides)), [0, 0.75, 1.5, 0]);
    expectClose(
      slopesOf((x) => nn.hinge(x, sides), [2, 0.25, 0.5, -1000]),
      [0, -1, 1, 0],
    );
  });

  it('refuse shapes that would be stretched against each other, and other dtypes', () => {
    const column = input('column', [4, 1]);
    for (const loss of [nn.squaredError, nn.absoluteError, nn.huber, nn.hinge]) {
      expect(() => loss(column, target)).toThrow(
        /\(column: f32\[4,1\], f32\[4\]\): tensors of one shape and dtype expected/,
      );
      expect(() => loss(input('wide', [4], 'f64'), target)).toThrow(
        /\(wide: f64\[4\], f32\[4\]\): tensors of one shape and dtype expected/,
      );
    }
    expect(() => nn.binaryCrossEntropy(column, target)).toThrow(
      /binaryCrossEntropy\(.*of one shape and dtype expected/,
    );
    expect(() => nn.binaryCrossEntropyWithLogits(column, target)).toThrow(/of one shape and dtype expected/);
    expect(() => nn.huber(prediction, target, 0)).toThrow(/huber: a delta above 0 expected, 0 given/);
  });
});

describe('binary cross-entropy', () => {
  it('of probabilities', () => {
    expectClose(valuesOf(nn.binaryCrossEntropy(vector(0.9, 0.9, 0.25), vector(1, 0, 0.5))), [
      0.10536051565782628,
      Math.LN10,
      0.8369882167858358,
    ]);
    // (p − t) / (p (1 − p))
    expectClose(
      slopesOf((p) => nn.binaryCrossEntropy(p, vector(1, 0, 0.5)), [0.8, 0.8, 0.25]),
      [-1.25, 5, -4 / 3],
    );
  });

  it('of certainties: cut off at 100, and no slope is NaN', () => {
    expectClose(valuesOf(nn.binaryCrossEntropy(vector(0, 1, 0, 1), vector(0, 1, 1, 0))), [0, 0, 100, 100]);
    const slopes = slopesOf((p) => nn.binaryCrossEntropy(p, vector(0, 1, 1, 0)), [0, 1, 0, 1]);
    expectClose(slopes, [1, -1, 0, 0]);
  });

  const cases: readonly (readonly [logit: number, target: number, loss: number, slope: number])[] = [
    [0, 1, Math.LN2, -0.5],
    [2, 1, 0.1269280110429725, -0.11920292202211756],
    [2, 0, 2.1269280110429727, 0.8807970779778823],
    [-3, 0.25, 0.798587351573742, -0.20257412682243323],
    [1000, 1, 0, 0],
    [1000, 0, 1000, 1],
    [-1000, 1, 1000, -1],
    [-1000, 0, 0, 0],
  ];
  const logits = cases.map(([logit]) => logit);
  const targets = vector(...cases.map(([, target]) => target));

  it('of logits up to ±1000, with slope sigmoid(z) − t', () => {
    expectClose(
      valuesOf(nn.binaryCrossEntropyWithLogits(vector(...logits), targets)),
      cases.map(([, , loss]) => loss),
    );
    expectClose(
      slopesOf((z) => nn.binaryCrossEntropyWithLogits(z, targets), logits),
      cases.map(([, , , slope]) => slope),
    );
  });

  it('of confident logits keeps all digits of a loss far below 1, in C too', async () => {
    const z = input('z', [4]);
    const loss = nn.binaryCrossEntropyWithLogits(z, vector(1, 1, 0, 0));
    const slope = grad(loss.sum(), z) as AnyTensor;
    const run = await compile(func({ name: 'confident', inputs: [z], outputs: { loss, slope } }), { target: 'c' });
    const given = [20, 40, -20, -40];
    const [small, tiny] = [2.061153620314381e-9, 4.248354255291589e-18];
    const found = run({ z: Float32Array.from(given) });
    for (const data of [interpret({ loss }, { z: given }).loss.data, found.loss])
      [small, tiny, small, tiny].forEach((wanted, i) => {
        expect(data[i]! / wanted).toBeCloseTo(1, 5);
      });
    [-small, -tiny, small, tiny].forEach((wanted, i) => {
      expect(found.slope[i]! / wanted).toBeCloseTo(1, 5);
    });
  });
});

describe('categorical cross-entropy', () => {
  it('of integer labels is −log softmax at the label, with slope softmax − one-hot', () => {
    const logits = matrix([1, 2, 3], [1, 2, 3], [1, 2, 3]);
    expectClose(
      valuesOf(nn.crossEntropy(logits, integers(0, 1, 2))),
      [2.4076059644443806, 1.4076059644443804, 0.4076059644443804],
    );
    expectClose(
      slopesOf((x) => nn.crossEntropy(x, integers(1)), [1, 2, 3], [1, 3]),
      [0.09003057317038046, 0.24472847105479764 - 1, 0.6652409557748218],
    );
  });

  it('of logits of ±1000', () => {
    const rows = [
      [1000, -1000, 999],
      [1000, -1000, 999],
    ];
    expectClose(valuesOf(nn.crossEntropy(matrix(...rows), integers(0, 1))), [0.31326168751822286, 2000.3132616875182]);
    expectClose(
      slopesOf((x) => nn.crossEntropy(x, integers(0, 1)), rows.flat(), [2, 3]),
      [-0.2689414213699951, 0, 0.2689414213699951, 0.7310585786300049, -1, 0.2689414213699951],
    );
  });

  it.each(['i32', 'i64', 'u8'] as const)('takes labels of dtype %s', (dtype) => {
    const labels: AnyTensor = constant([2, 0], { shape: [2], dtype });
    const logits = matrix([1, 2, 3], [1, 2, 3]);
    expectClose(valuesOf(nn.crossEntropy(logits, labels)), [0.4076059644443804, 2.4076059644443806]);
    expectClose(valuesOf(nn.accuracy(logits, labels)), [1, 0]);
    expectClose(valuesOf(nn.topKAccuracy(logits, labels, 3)), [1, 1]);
  });

  it('of labels with several axes', () => {
    const logits: AnyTensor = constant([1, 2, 3, 3, 2, 1], { shape: [1, 2, 3] });
    const labels: AnyTensor = constant([2, 2], { shape: [1, 2], dtype: 'i32' });
    const found = interpret({ loss: nn.crossEntropy(logits, labels) }).loss;
    expect(found.shape).toEqual([1, 2]);
    expectClose(found.data, [0.4076059644443804, 2.4076059644443806]);
  });

  it('of distributions', () => {
    const target = matrix([0.2, 0.3, 0.5]);
    expectClose(valuesOf(nn.crossEntropyWithProbabilities(matrix([1, 2, 3]), target)), [1.1076059644443805]);
    expectClose(
      slopesOf((x) => nn.crossEntropyWithProbabilities(x, target), [1, 2, 3], [1, 3]),
      [-0.10996942682961955, -0.05527152894520235, 0.16524095577482178],
    );
    expectClose(valuesOf(nn.crossEntropyWithProbabilities(matrix([1000, -1000]), matrix([1, 0]))), [0]);
    expectClose(valuesOf(nn.crossEntropyWithProbabilities(matrix([1000, -1000]), matrix([0, 1]))), [2000]);
  });

  it('in compiled C at ±1000, with gradients', async () => {
    const x = input('x', [2, 3]);
    const y = input('y', [2], 'i32');
    const loss = nn.crossEntropy(x, y);
    const run = await compile(
      func({ name: 'extreme', inputs: [x, y], outputs: { loss, slope: grad(loss.sum(), x) as AnyTensor } }),
      { target: 'c' },
    );
    const found = run({ x: Float32Array.of(1000, -1000, 999, 1000, -1000, 999), y: Int32Array.of(0, 1) });
    expectClose(found.loss, [0.31326168751822286, 2000.3132616875182], 1e-6);
    expectClose(
      found.slope,
      [-0.2689414213699951, 0, 0.2689414213699951, 0.7310585786300049, -1, 0.2689414213699951],
      1e-6,
    );
    expect(() => run({ x: new Float32Array(6), y: Int32Array.of(0, 3) })).toThrow(
      /input "y": indices from 0 to 2 expected, 3 given at element 1/,
    );
  });

  it('refuses labels of another shape and labels that are no integers', () => {
    const logits = input('logits', [4, 3]);
    expect(() => nn.crossEntropy(logits, input('labels', [4, 1], 'i32'))).toThrow(
      /crossEntropy\(logits: f32\[4,3\], labels: i32\[4,1\]\): .* one label for each row of \[4\]/,
    );
    expect(() => nn.crossEntropy(logits, input('labels', [4]))).toThrow(
      /crossEntropy\(.*labels: f32\[4\]\): integer labels expected/,
    );
    expect(() => nn.crossEntropyWithProbabilities(logits, input('target', [3]))).toThrow(
      /of one shape and dtype expected/,
    );
  });
});

describe('klDivergence', () => {
  it('is Σ p log(p/q), where terms with p = 0 are 0', () => {
    const p = matrix([0.5, 0.25, 0.25], [0.5, 0.5, 0]);
    const q = matrix([0.25, 0.25, 0.5], [0.9, 0.1, 0]);
    expectClose(valuesOf(nn.klDivergence(p, q)), [0.17328679513998632, 0.5108256237659907]);
    expectClose(valuesOf(nn.klDivergence(p, p)), [0, 0]);
    expectClose(valuesOf(nn.klDivergence(matrix([0.5, 0.5]), matrix([1, 0]))), [Infinity]);
  });

  it('has slope −p/q by q and log(p/q) + 1 by p, and 0 where p = 0 = q', () => {
    const p = matrix([0.5, 0.5, 0]);
    const q = matrix([0.25, 0.75, 0]);
    expectClose(
      slopesOf((x) => nn.klDivergence(p, x), [0.25, 0.75, 0], [1, 3]),
      [-2, -2 / 3, 0],
    );
    expectClose(
      slopesOf((x) => nn.klDivergence(x, q), [0.5, 0.5, 0], [1, 3]),
      [1.6931471805599454, 0.5945348918918356, 0],
    );
  });

  it('refuses distributions of two shapes', () => {
    expect(() => nn.klDivergence(input('p', [2, 3]), input('q', [3]))).toThrow(
      /klDivergence\(p: f32\[2,3\], q: f32\[3\]\): tensors of one shape/,
    );
  });
});

describe('metrics', () => {
  const scores = matrix([0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2]);

  it('accuracy is 1 where the greatest logit is the label; the first of equals counts', () => {
    expectClose(valuesOf(nn.accuracy(scores, integers(1, 2, 2, 1))), [1, 0, 1, 0]);
  });

  it('topKAccuracy is 1 where the label is among the k greatest', () => {
    expectClose(valuesOf(nn.topKAccuracy(scores, integers(0, 2, 2, 2), 1)), [0, 0, 1, 0]);
    expectClose(valuesOf(nn.topKAccuracy(scores, integers(0, 2, 2, 2), 2)), [0, 1, 1, 0]);
    expectClose(valuesOf(nn.topKAccuracy(scores, integers(0, 2, 2, 2), 3)), [1, 1, 1, 1]);
  });

  it('confusionMatrix counts [actual, predicted]', () => {
    const found = interpret({ counts: nn.confusionMatrix(integers(0, 1, 1, 2, 0), integers(0, 1, 2, 2, 1), 3) });
    expect(found.counts.shape).toEqual([3, 3]);
    expectClose(found.counts.data, [1, 0, 0, 1, 1, 0, 0, 1, 1]);
  });

  it('in compiled C', async () => {
    const x = input('x', [4, 3]);
    const y = input('y', [4], 'i32');
    const counts = nn.confusionMatrix(x.argmax(-1), y, 3);
    const outputs = { first: nn.accuracy(x, y), two: nn.topKAccuracy(x, y, 2), counts };
    const run = await compile(func({ name: 'metrics', inputs: [x, y], outputs }), { target: 'c' });
    const elements = Float32Array.of(0.1, 0.7, 0.2, 0.5, 0.2, 0.3, 0.3, 0.3, 0.4, 0.4, 0.4, 0.2);
    const found = run({ x: elements, y: Int32Array.of(1, 2, 2, 1) });
    expectClose(found.first, [1, 0, 1, 0]);
    expectClose(found.two, [1, 1, 1, 1]);
    expectClose(found.counts, [0, 0, 0, 1, 1, 0, 1, 0, 1]);
  });

  it('refuse labels of another shape, and more candidates than classes', () => {
    const column = input('labels', [4, 1], 'i32');
    const expected = /ccuracy\(f32\[4,3\], labels: i32\[4,1\]\): .* one label for each row of \[4\]/;
    expect(() => nn.accuracy(scores, column)).toThrow(expected);
    expect(() => nn.topKAccuracy(scores, column, 2)).toThrow(expected);
    expect(() => nn.topKAccuracy(scores, integers(0, 0, 0, 0), 4)).toThrow(
      /k between 1 and the last axis of f32\[4,3\] expected, 4 given/,
    );
    expect(() => nn.confusionMatrix(integers(0, 1), integers(0), 2)).toThrow(
      /confusionMatrix\(i32\[2\], i32\[1\]\): predictions \[N\] and labels \[N\] of one length expected/,
    );
  });
});
