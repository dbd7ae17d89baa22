// Operators with attributes that the standard's node tests do not show, against what onnxruntime and the standard's reference give for
// them, and what is refused: values that shapes would depend on, what asks for too much.

import { describe, expect, it } from 'vitest';
import { fromOnnx } from '../src/onnx/import.ts';
import { UnsupportedModelError } from '../src/onnx/unsupported.ts';
import { compile } from '../src/runtime/compile.ts';
import { modelOf, node } from './helpers/onnx-file.ts';
import { importCases, judge } from './helpers/onnx-judge.ts';
import { archivedCases } from './helpers/onnx-node.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const cases = archivedCases('onnx-operators.zip');
const { imported, refused, failed } = importCases(cases);

describe('operators of ONNX', () => {
  it('are imported with all their attributes', () => {
    expect(imported.length).toBeGreaterThan(200);
    expect(refused).toEqual([]);
    expect(failed).toEqual([]);
  });

  it.each(['reference', 'js'] as const)('give on %s what other implementations give', async (target) => {
    const verdicts = await judge(imported, target, null);
    expect(verdicts.filter(({ outcome }) => outcome !== 'passed')).toEqual([]);
  });
});

const loops = imported.filter(({ name }) => /^(lstm|gru|rnn|scan8?|loop|if)_/.test(name));
const device = await testDevice();

describe.skipIf(typeof device === 'string')(titleOf('loops of ONNX on WebGPU', device), () => {
  it('give what other implementations give', async () => {
    expect(loops.length).toBeGreaterThan(40);
    const verdicts = await judge(loops, 'wgsl', device as Exclude<typeof device, string>);
    expect(verdicts.filter(({ outcome }) => outcome !== 'passed')).toEqual([]);
  });
});

describe('loops of ONNX in C', () => {
  it('give what other implementations give', async () => {
    const verdicts = await judge(loops, 'c', null);
    expect(verdicts.filter(({ outcome }) => outcome !== 'passed')).toEqual([]);
  });
});

const [float, int64, bool] = [1, 7, 9];
const int = (i: number) => ({ type: 2, i: BigInt(i) });
const text = (s: string) => ({ type: 3, s: new TextEncoder().encode(s) });

describe('uint64, carried by the i64 of the same bits', () => {
  it('is compared as it is meant: reductions, positions and TopK', async () => {
    const uint64 = 13;
    const bytes = modelOf({
      nodes: [
        node('ReduceMax', ['x'], ['greatest'], { axes: { type: 7, ints: [1n] }, keepdims: int(0) }),
        node('ReduceMin', ['x'], ['least'], { axes: { type: 7, ints: [1n] }, keepdims: int(0) }),
        node('ArgMax', ['x'], ['last'], { axis: int(1), keepdims: int(0), select_last_index: int(1) }),
        node('ArgMin', ['x'], ['first'], { axis: int(1), keepdims: int(0) }),
        node('TopK', ['x', 'k'], ['top', 'topPlaces']),
        node('TopK', ['x', 'k'], ['bottom', 'bottomPlaces'], { largest: int(0) }),
      ],
      inputs: { x: [uint64, [2, 4]] },
      initializers: [{ name: 'k', dataType: int64, dims: [1n], int64Data: [3n] }],
      outputs: ['greatest', 'least', 'last', 'first', 'top', 'topPlaces', 'bottom', 'bottomPlaces'],
    });
    const [half, most] = [2n ** 63n, 2n ** 64n - 1n];
    const run = await compile(fromOnnx(bytes), { target: 'js' });
    const found = run({ x: BigInt64Array.from([5n, half, half, 4n, most, 7n, most - 1n, 7n]) });
    const unsigned = (name: string): bigint[] =>
      Array.from(found[name] as BigInt64Array, (element) => BigInt.asUintN(64, element));
    expect(unsigned('greatest')).toEqual([half, most]);
    expect(unsigned('least')).toEqual([4n, 7n]);
    expect(unsigned('last')).toEqual([2n, 0n]);
    expect(unsigned('first')).toEqual([3n, 1n]);
    expect(unsigned('top')).toEqual([half, half, 5n, most, most - 1n, 7n]);
    expect(unsigned('topPlaces')).toEqual([1n, 2n, 0n, 0n, 2n, 1n]);
    expect(unsigned('bottom')).toEqual([4n, 5n, half, 7n, 7n, most - 1n]);
    expect(unsigned('bottomPlaces')).toEqual([3n, 0n, 1n, 1n, 3n, 2n]);
  });
});

it('integers go through float where ReduceLogSumExp takes them, and are truncated', async () => {
  const bytes = modelOf({
    nodes: [node('ReduceLogSumExp', ['x'], ['y'], { axes: { type: 7, ints: [1n] }, keepdims: int(0) })],
    inputs: { x: [6, [2, 3]] },
    outputs: ['y'],
  });
  const run = await compile(fromOnnx(bytes), { target: 'js' });
  // log(e + e² + e³) = 3.41, log(3 e¹⁰⁰) = 101.1
  expect([...run({ x: Int32Array.of(1, 2, 3, 100, 100, 100) }).y!]).toEqual([3, 101]);
});

/** The reasons for which a model is refused, and the inputs that would have to be known. */
function refusal(bytes: Uint8Array): { reasons: string[]; inputs: readonly string[] } {
  try {
    fromOnnx(bytes);
  } catch (error) {
    if (!(error instanceof UnsupportedModelError)) throw error;
    return { reasons: error.nodes.map(({ operator, reason }) => `${operator}: ${reason}`), inputs: error.inputs };
  }
  throw new Error('a refusal expected');
}

describe('what an ONNX operator cannot express is refused with the reason', () => {
  it('numbers of results that depend on values name the inputs that would have to be known', () => {
    const bytes = modelOf({
      nodes: [node('NonZero', ['x'], ['y'])],
      inputs: { x: [float, [2, 3]] },
      outputs: ['y'],
    });
    expect(refusal(bytes)).toEqual({
      reasons: ['NonZero: the elements must be known at import, it depends on input "x"'],
      inputs: ['x'],
    });
  });

  it('a number of scan outputs that an input decides', () => {
    const body = {
      nodes: [node('Identity', ['c'], ['goes']), node('Add', ['v', 'v'], ['w']), node('Neg', ['w'], ['s'])],
      inputs: [{ name: 'i' }, { name: 'c' }, { name: 'v' }],
      outputs: [{ name: 'goes' }, { name: 'w' }, { name: 's' }],
    };
    const bytes = modelOf({
      nodes: [node('Loop', ['trips', '', 'x'], ['y', 'all'], { body: { type: 5, g: body } })],
      inputs: { x: [float, [2]], trips: [int64, []] },
      outputs: ['y', 'all'],
    });
    expect(refusal(bytes)).toEqual({
      reasons: ['Loop: the trip count must be known at import, it depends on input "trips"'],
      inputs: ['trips'],
    });
  });

  it('shapes that depend on what a loop carries, where a value ends it', () => {
    const body = {
      nodes: [
        node('NonZero', ['v'], ['places']),
        node('Cast', ['places'], ['w'], { to: int(1) }),
        node('Identity', ['start'], ['goes']),
      ],
      inputs: [{ name: 'i' }, { name: 'c' }, { name: 'v' }],
      outputs: [{ name: 'goes' }, { name: 'w' }],
    };
    const bytes = modelOf({
      nodes: [node('Loop', ['', 'start', 'one'], ['y'], { body: { type: 5, g: body } })],
      inputs: { start: [bool, []] },
      outputs: ['y'],
      initializers: [{ name: 'one', dataType: float, dims: [1n], floatData: [1] }],
    });
    expect(refusal(bytes).reasons).toEqual([
      'NonZero: the elements must be known at import, it is what a loop or branch computes',
      'Loop: its subgraph has nodes that are not supported',
    ]);
  });

  it('branches of different shapes, chosen by a value', () => {
    const branch = (nodes: object[], output: string) => ({
      type: 5,
      g: { nodes, inputs: [], outputs: [{ name: output }] },
    });
    const bytes = modelOf({
      nodes: [
        node('If', ['c'], ['y'], {
          then_branch: branch([node('Neg', ['x'], ['t'])], 't'),
          else_branch: branch([node('Concat', ['x', 'x'], ['e'], { axis: int(0) })], 'e'),
        }),
      ],
      inputs: { c: [bool, []], x: [float, [2]] },
      outputs: ['y'],
    });
    expect(refusal(bytes).reasons).toEqual([
      'If: float[2] or float[4], as a value decides that is not known at import',
    ]);
  });

  it.each([
    ['SequenceLength', 'it works on sequences'],
    ['OptionalHasElement', 'it works on optional values'],
    ['StringConcat', 'it works on strings'],
    ['ImageDecoder', 'it decodes files of images'],
  ])('%s: %s', (operator, reason) => {
    const bytes = modelOf({ nodes: [node(operator, ['x'], ['y'])], inputs: { x: [float, [2]] }, outputs: ['y'] });
    expect(refusal(bytes).reasons).toEqual([`${operator}: ${reason}`]);
  });

  it('linear resizing of integers, whose rounding the standard leaves open', () => {
    const bytes = modelOf({
      nodes: [node('Resize', ['x', '', 's'], ['y'], { mode: text('linear') })],
      inputs: { x: [int64, [1, 1, 2, 2]], s: [float, [4]] },
      outputs: ['y'],
    });
    expect(refusal(bytes).reasons).toEqual([
      'Resize: mode linear of int64: the standard does not say how results are rounded',
    ]);
  });
});

describe('numbers in a file that ask for too much are refused before anything of that size is made', () => {
  const initializer = (name: string, dataType: number, dims: number[], numbers: readonly number[]) => ({
    name,
    dataType,
    dims: dims.map(BigInt),
    ...(dataType === int64 ? { int64Data: numbers.map(BigInt) } : { floatData: numbers }),
  });
  const image = [float, [1, 1, 2, 2]] as const;
  it.each([
    [
      'Resize',
      { nodes: [node('Resize', ['x', '', '', 's'], ['y'], { mode: text('cubic') })], inputs: { x: image } },
      [initializer('s', int64, [4], [1, 1, 2, 1e9])],
    ],
    ['HannWindow', { nodes: [node('HannWindow', ['s'], ['y'])] }, [initializer('s', int64, [], [1e9])]],
    [
      'RoiAlign',
      {
        nodes: [node('RoiAlign', ['x', 'r', 'b'], ['y'], { sampling_ratio: int(1e6), output_width: int(1e6) })],
        inputs: { x: image, r: [float, [1, 4]] as const, b: [int64, [1]] as const },
      },
      [],
    ],
    [
      'MelWeightMatrix',
      { nodes: [node('MelWeightMatrix', ['n', 'd', 'r', 'l', 'h'], ['y'])] },
      [
        initializer('n', int64, [], [1e6]),
        initializer('d', int64, [], [1e9]),
        initializer('r', int64, [], [16000]),
        initializer('l', float, [], [0]),
        initializer('h', float, [], [8000]),
      ],
    ],
    [
      'Col2Im',
      { nodes: [node('Col2Im', ['c', 'i', 'k'], ['y'])], inputs: { c: [float, [1, 1, 1e10]] as const } },
      [initializer('i', int64, [2], [1e5, 1e5]), initializer('k', int64, [2], [1, 1])],
    ],
  ])('%s', (_operator, graph, initializers) => {
    const bytes = modelOf({ ...graph, outputs: ['y'], initializers });
    const before = process.memoryUsage().heapTotal;
    expect(refusal(bytes).reasons.join()).toMatch(/at most\b.*written out$/);
    expect(process.memoryUsage().heapTotal - before).toBeLessThan(200e6);
  });
});
