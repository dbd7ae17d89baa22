// Loops and recurrences of ONNX over the graph's own loops: what they compute, that programs do not grow with the number of steps, and
// which loops are written out. onnxruntime's results for them are in test/onnx-operators.test.ts.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { ndarray } from '../src/ir/ndarray.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { fromOnnx } from '../src/onnx/import.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { modelOf, node } from './helpers/onnx-file.ts';

const [float, int64, bool] = [1, 7, 9];
const int = (i: number) => ({ type: 2, i: BigInt(i) });
const text = (s: string) => ({ type: 3, s: new TextEncoder().encode(s) });
const whole = (name: string, dims: bigint[], numbers: bigint[]) => ({
  name,
  dataType: int64,
  dims,
  int64Data: numbers,
});
const graph = (nodes: object[], inputs: string[], outputs: string[]) => ({
  type: 5,
  g: { nodes, inputs: inputs.map((name) => ({ name })), outputs: outputs.map((name) => ({ name })) },
});

const loopsOf = ({ nodes }: Func): string[] =>
  nodes.map(({ op }) => op).filter((op) => op === 'scan' || op === 'while' || op === 'cond');
const numbersOf = (func: Func, ...inputs: Parameters<typeof evaluateFunc>[1]): number[][] =>
  evaluateFunc(func, inputs).map(({ data }) => Array.from(data));

describe('recurrences', () => {
  const recurrent = (operator: string, gates: number, steps: number): Func =>
    fromOnnx(
      modelOf({
        nodes: [
          node(operator, ['x', 'w', 'r', '', 'n'], ['y', 'h'], {
            hidden_size: int(4),
            direction: text('bidirectional'),
          }),
        ],
        inputs: {
          x: [float, [steps, 2, 3]],
          w: [float, [2, gates * 4, 3]],
          r: [float, [2, gates * 4, 4]],
          n: [6, [2]],
        },
        outputs: ['y', 'h'],
      }),
    ).func;

  it.each([
    ['RNN', 1],
    ['GRU', 3],
    ['LSTM', 4],
  ])('%s: a program of 2000 steps is hardly larger than one of 2', (operator, gates) => {
    const sizes = [2, 2000].map((steps) => {
      const func = recurrent(operator, gates, steps);
      expect(loopsOf(func)).toEqual(['scan', 'scan']);
      return leavesOf(compileToProgram(func).steps).length;
    });
    // Of many rows, each direction's product packs its weights first.
    expect(sizes[1]).toBeLessThanOrEqual(sizes[0]! + 2);
  });

  it('of no step give their first state', () => {
    expect(
      numbersOf(
        recurrent('GRU', 3, 0),
        ...[
          [0, 2, 3],
          [2, 12, 3],
          [2, 12, 4],
        ].map((shape) => ndarray('f32', shape, new Float64Array(shape.reduce((n, dim) => n * dim, 1)))),
        ndarray('i32', [2], [0, 0]),
      ),
    ).toEqual([[], new Array(16).fill(0)]);
  });
});

describe('Loop', () => {
  const summing = [node('Cast', ['i'], ['f'], { to: int(float) }), node('Add', ['v', 'f'], ['w'])];

  it('with a known trip count is a scan of any length', () => {
    const body = graph(
      [...summing, node('Identity', ['c'], ['goes']), node('Neg', ['w'], ['s'])],
      ['i', 'c', 'v'],
      ['goes', 'w', 's'],
    );
    const { func } = fromOnnx(
      modelOf({
        nodes: [node('Loop', ['trips', '', 'x'], ['y', 'all'], { body })],
        inputs: { x: [float, [1]] },
        outputs: ['y', 'all'],
        initializers: [whole('trips', [], [5000n])],
      }),
    );
    expect(loopsOf(func)).toEqual(['scan']);
    const [last, all] = numbersOf(func, ndarray('f32', [1], [1]));
    expect(last).toEqual([1 + (5000 * 4999) / 2]);
    expect([all!.length, ...all!.slice(0, 4)]).toEqual([5000, -1, -2, -4, -7]);
  });

  it('that runs no time has scan outputs of no slice', () => {
    const body = graph([...summing, node('Identity', ['c'], ['goes'])], ['i', 'c', 'v'], ['goes', 'w', 'w']);
    const { func, outputs } = fromOnnx(
      modelOf({
        nodes: [node('Loop', ['trips', '', 'x'], ['y', 'all'], { body })],
        inputs: { x: [float, [1]] },
        outputs: ['y', 'all'],
        initializers: [whole('trips', [], [0n])],
      }),
    );
    expect(outputs.map(({ shape }) => shape)).toEqual([[1], [0, 1]]);
    expect(numbersOf(func, ndarray('f32', [1], [7]))).toEqual([[7], []]);
  });

  const doubling = graph(
    [
      node('Add', ['v', 'v'], ['w']),
      node('ReduceMax', ['w'], ['m'], { keepdims: int(0) }),
      node('Less', ['m', 'limit'], ['goes']),
    ],
    ['i', 'c', 'v'],
    ['goes', 'w'],
  );

  it.each([
    ['without a trip count', '', [8, 16]],
    ['with one that is known', 'known', [4, 8]],
    ['with one that is an input', 'given', [2, 4]],
  ])('that a value ends is a while loop, %s', (_which, trips, expected) => {
    const { func } = fromOnnx(
      modelOf({
        nodes: [node('Loop', [trips, 'start', 'x'], ['y'], { body: doubling })],
        inputs: { x: [float, [2]], limit: [float, []], start: [bool, []], given: [int64, []] },
        outputs: ['y'],
        initializers: [whole('known', [], [2n])],
      }),
    );
    expect(loopsOf(func)).toEqual(['while']);
    const run = (start: number): number[][] =>
      numbersOf(
        func,
        ndarray('f32', [2], [1, 2]),
        ndarray('f32', [], [10]),
        ndarray('bool', [], [start]),
        ndarray('i64', [], [1]),
      );
    expect(run(1)).toEqual([expected]);
    expect(run(0)).toEqual([[1, 2]]);
  });

  it('without a condition runs to its trip count, whatever its body says', () => {
    const body = graph(
      [node('Add', ['v', 'v'], ['w']), node('IsNaN', ['one'], ['goes'])],
      ['i', 'c', 'v'],
      ['goes', 'w'],
    );
    const { func } = fromOnnx(
      modelOf({
        nodes: [node('Loop', ['trips', '', 'x'], ['y'], { body })],
        inputs: { x: [float, [2]] },
        outputs: ['y'],
        initializers: [whole('trips', [], [3n]), { name: 'one', dataType: float, dims: [], floatData: [1] }],
      }),
    );
    expect(numbersOf(func, ndarray('f32', [2], [1, 2]))).toEqual([[8, 16]]);
  });

  it('is written out where a shape depends on the iteration', () => {
    const body = graph(
      [
        node('Unsqueeze', ['i', 'zero'], ['end']),
        node('Slice', ['x', 'zero', 'end'], ['part']),
        node('ReduceSum', ['part'], ['sum'], { keepdims: int(0) }),
        node('Add', ['v', 'sum'], ['w']),
        node('Identity', ['c'], ['goes']),
      ],
      ['i', 'c', 'v'],
      ['goes', 'w'],
    );
    const { func } = fromOnnx(
      modelOf({
        nodes: [node('Loop', ['trips', '', 'v0'], ['y'], { body })],
        inputs: { x: [float, [3]], v0: [float, []] },
        outputs: ['y'],
        initializers: [whole('trips', [], [4n]), whole('zero', [1n], [0n])],
      }),
    );
    expect(loopsOf(func)).toEqual([]);
    expect(numbersOf(func, ndarray('f32', [3], [1, 2, 3]), ndarray('f32', [], [10]))).toEqual([[10 + 1 + 3 + 6]]);
  });

  it('over known integers gives what shapes may depend on', () => {
    const body = graph(
      [node('Add', ['v', 'v'], ['w']), node('Identity', ['c'], ['goes'])],
      ['i', 'c', 'v'],
      ['goes', 'w'],
    );
    const { outputs } = fromOnnx(
      modelOf({
        nodes: [node('Loop', ['trips', '', 'one'], ['n'], { body }), node('Reshape', ['x', 'n'], ['y'])],
        inputs: { x: [float, [2, 4]] },
        outputs: ['y'],
        initializers: [whole('trips', [], [3n]), whole('one', [1n], [1n])],
      }),
    );
    expect(outputs[0]!.shape).toEqual([8]);
  });
});

describe('If', () => {
  it('of a condition that is not known is a branch of the program', () => {
    const { func } = fromOnnx(
      modelOf({
        nodes: [
          node('If', ['c'], ['y'], {
            then_branch: graph([node('Exp', ['x'], ['t'])], [], ['t']),
            else_branch: graph([], [], ['x']),
          }),
        ],
        inputs: { c: [bool, []], x: [float, [2]] },
        outputs: ['y'],
      }),
    );
    expect(loopsOf(func)).toEqual(['cond']);
    const run = (c: number): number[][] => numbersOf(func, ndarray('bool', [], [c]), ndarray('f32', [2], [0, 3]));
    expect(run(0)).toEqual([[0, 3]]);
    expect(run(1)[0]![0]).toBe(1);
  });
});
