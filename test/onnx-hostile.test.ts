// Hostile ONNX files: whatever a file holds, reading it is a function or an error that says what is wrong, in bounded time and memory.

import { compile } from 'ashlar/node';
import { fromOnnx } from 'ashlar/onnx';
import { describe, expect, it } from 'vitest';
import { LimitationError, UserError } from '../src/ir/errors.ts';
import { modelOf, node, onnxBytes } from './helpers/onnx-file.ts';
import { nodeCases } from './helpers/onnx-node.ts';

const float = 1;
const int64 = 7;
const whole = (name: string, values: readonly bigint[]) => ({
  name,
  dims: [BigInt(values.length)],
  dataType: int64,
  int64Data: values,
});
const add = modelOf({
  nodes: [node('Add', ['x', 'x'], ['y'])],
  inputs: { x: [float, ['batch', 2]] },
  outputs: ['y'],
});

describe('a hostile file', () => {
  const refused = (bytes: Uint8Array, message: RegExp): void => {
    const imported = (): unknown => {
      try {
        return fromOnnx(bytes);
      } catch (error) {
        return error;
      }
    };
    const error = imported();
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
  };
  const oneInput = { x: [float, [1]] as const };

  it('is refused with a cycle, or a name that nothing makes', () => {
    refused(
      modelOf({ nodes: [node('Neg', ['b'], ['a']), node('Neg', ['a'], ['b'])], inputs: oneInput, outputs: ['b'] }),
      /input "b" is made by no node before it: a cycle, or a missing initializer/,
    );
    refused(modelOf({ nodes: [], inputs: oneInput, outputs: ['y'] }), /output "y" is made by no node/);
  });

  it('is refused with a node that has none of the inputs it needs', () => {
    for (const operator of ['Neg', 'Max', 'Sum', 'Concat', 'Einsum'])
      refused(
        modelOf({ nodes: [node(operator, [], ['y'])], inputs: oneInput, outputs: ['y'] }),
        /input 0 expected|attribute|equation/,
      );
  });

  it('is refused with names given twice', () => {
    refused(
      modelOf({ nodes: [node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'])], inputs: oneInput, outputs: ['y'] }),
      /the name "y" is given twice/,
    );
    refused(
      modelOf({ nodes: [node('Neg', ['x'], ['y'])], inputs: oneInput, outputs: ['y', 'y'] }),
      /two outputs are named "y"/,
    );
  });

  it('shows names with control characters escaped and cut', () => {
    const name = `\u001b[31m\u202e${'long '.repeat(100)}`;
    try {
      fromOnnx(modelOf({ nodes: [node('Neg', [name], ['y'])], inputs: oneInput, outputs: ['y'] }));
    } catch (error) {
      const { message } = error as Error;
      expect([...message].filter((character) => character < ' ' || character === '\u202e')).toEqual([]);
      expect(message.length).toBeLessThan(400);
      return;
    }
    throw new Error('an error expected');
  });

  it('is refused where messages nest too deep', () => {
    let graph: object = { nodes: [], outputs: [] };
    for (let i = 0; i < 60; i++)
      graph = { nodes: [node('If', ['x'], ['y'], { then_branch: { g: graph } })], outputs: [{ name: 'y' }] };
    refused(onnxBytes({ graph }), /nest deeper than 100 levels/);
    const groups = new Uint8Array(100_000).fill((2 << 3) | 3);
    refused(groups, /wire type 3/);
  });

  const graph = (nodes: readonly object[], inputs: readonly string[], outputs: readonly string[]) => ({
    g: { nodes, inputs: inputs.map((name) => ({ name })), outputs: outputs.map((name) => ({ name })) },
  });
  const kept = [node('Identity', ['c'], ['goes']), node('Neg', ['v'], ['w'])];
  const loopOf = (body: object, trips = 'trips', start = '') =>
    modelOf({
      nodes: [node('Loop', [trips, start, 'x'], ['y'], { body })],
      inputs: { x: [float, [1]], many: [9, [3]] },
      outputs: ['y'],
      initializers: [whole('trips', [3n]), whole('several', [3n, 4n])],
    });

  it.each([
    [
      'a trip count of several numbers',
      loopOf(graph(kept, ['i', 'c', 'v'], ['goes', 'w']), 'several'),
      /the trip count must be one int64, int64\[2\] given/,
    ],
    [
      'a trip count that is no integer',
      loopOf(graph(kept, ['i', 'c', 'v'], ['goes', 'w']), 'x'),
      /the trip count must be one int64, float\[1\] given/,
    ],
    [
      'a condition of several',
      loopOf(graph(kept, ['i', 'c', 'v'], ['goes', 'w']), '', 'many'),
      /the condition must be one bool, bool\[3\] given/,
    ],
    [
      'a body whose condition is none',
      loopOf(graph(kept, ['i', 'c', 'v'], ['w', 'w'])),
      /the condition of the body must be one bool, float\[1\] given/,
    ],
    [
      'a body that takes less',
      loopOf(graph(kept, ['i', 'c'], ['goes', 'x'])),
      /a body with 3 inputs expected, it has 2/,
    ],
    [
      'a body that gives less',
      loopOf(graph(kept, ['i', 'c', 'v'], [])),
      /a body with a condition and 1 values expected/,
    ],
    [
      'a body that reads what comes behind the loop',
      loopOf(graph([node('Neg', ['y'], ['w'])], ['i', 'c', 'v'], ['c', 'w'])),
      /"y" is made by no node before it/,
    ],
  ] as const)('is refused with a loop of %s', (_what, bytes, message) => refused(bytes, message));

  it.each([
    ['X', { x: [3] }, /X \[T,N,I\] expected, \[3\] given/],
    ['R', { r: [2, 8, 2] }, /R \[1,4H,H\] expected, \[2,8,2\] given/],
    ['W', { w: [1, 8, 3] }, /W \[1,8,2\] expected, \[1,8,3\] given/],
    ['hidden_size', { r: [1, 12, 3] }, /W \[1,8,2\] expected|R \[1,8,2\] expected, \[1,12,3\] given/],
  ])('is refused with an LSTM whose %s has another shape', (_what, other, message) => {
    const shapes: Readonly<Record<string, number[]>> = { x: [3, 1, 2], w: [1, 8, 2], r: [1, 8, 2], ...other };
    const inputs = Object.fromEntries(Object.entries(shapes).map(([name, dims]) => [name, [float, dims] as const]));
    const nodes = [node('LSTM', ['x', 'w', 'r'], ['y'], { hidden_size: { i: 2n } })];
    refused(modelOf({ nodes, inputs, outputs: ['y'] }), message);
  });

  it('may hold loops as deep inside each other as messages nest', async () => {
    let body = graph(kept, ['i', 'c', 'v'], ['goes', 'w']);
    for (let i = 0; i < 20; i++)
      body = graph([kept[0]!, node('Loop', ['trips', '', 'v'], ['w'], { body })], ['i', 'c', 'v'], ['goes', 'w']);
    await expect(compile(fromOnnx(loopOf(body)), { target: 'js' })).resolves.toBeDefined();
  });

  it('is refused where functions call themselves, or too many', () => {
    const recursive = {
      name: 'F',
      domain: 'd',
      inputs: ['a'],
      outputs: ['b'],
      nodes: [{ ...node('F', ['a'], ['b']), domain: 'd' }],
    };
    const graph = {
      nodes: [{ ...node('F', ['x'], ['y']), domain: 'd' }],
      inputs: [{ name: 'x', type: { tensor: { elementType: float, shape: { dims: [] } } } }],
      outputs: [{ name: 'y' }],
    };
    refused(onnxBytes({ graph, functions: [recursive] }), /more than 64 deep/);
    const doubling = Array.from({ length: 40 }, (_, i) => ({
      name: i === 0 ? 'F' : `F${i}`,
      domain: 'd',
      inputs: ['a'],
      outputs: ['c'],
      nodes: [
        { ...node(`F${i + 1}`, ['a'], ['b']), domain: 'd' },
        { ...node(`F${i + 1}`, ['b'], ['c']), domain: 'd' },
      ],
    }));
    const last = { name: 'F40', domain: 'd', inputs: ['a'], outputs: ['c'], nodes: [node('Neg', ['a'], ['c'])] };
    refused(onnxBytes({ graph, functions: [...doubling, last] }), /more than 100000 nodes/);
  });

  it('is refused with dimensions that cannot be counted', () => {
    refused(
      modelOf({ nodes: [node('Neg', ['x'], ['y'])], inputs: { x: [float, [2 ** 40, 2 ** 40]] }, outputs: ['y'] }),
      /whose product can be counted/,
    );
  });

  it('may use names of properties that every object has', async () => {
    const names = ['__proto__', 'constructor', 'toString'] as const;
    const bytes = modelOf({
      nodes: [node('Add', ['constructor', 'toString'], ['__proto__'])],
      inputs: { constructor: [float, ['valueOf']] as const, toString: [float, [1]] as const },
      outputs: ['__proto__'],
    });
    const definition = fromOnnx(bytes, { dimensions: {}, shapes: {}, constants: {} });
    const run = await compile(definition, { target: 'js' });
    const results = run({ [names[1]]: Float32Array.of(1), [names[2]]: Float32Array.of(2) });
    expect(Object.entries(results)).toEqual([[names[0], Float32Array.of(3)]]);
  });

  it('asks for no more memory than an array can have', async () => {
    const bytes = modelOf({
      nodes: [node('Expand', ['x', 'shape'], ['y'])],
      inputs: oneInput,
      outputs: ['y'],
      initializers: [whole('shape', [2n ** 50n])],
    });
    const run = await compile(fromOnnx(bytes), { target: 'js' });
    expect(() => run({ x: Float32Array.of(1) })).toThrow(LimitationError);
  });

  it('evaluates no more than its size allows', () => {
    const bytes = modelOf({
      nodes: [
        node('ConstantOfShape', ['size'], ['ones']),
        node('ReduceSum', ['ones'], ['sum']),
        node('Cast', ['sum'], ['shape'], { to: { i: 7n } }),
        node('Expand', ['x', 'shape'], ['y']),
      ],
      inputs: oneInput,
      outputs: ['y'],
      initializers: [whole('size', [2n ** 40n])],
    });
    expect(() => fromOnnx(bytes)).toThrow(/shape must be known at import, it is too large to evaluate/);
  });

  it('that is none is refused, with the place', () => {
    refused(new TextEncoder().encode('not a model at all'), /the ONNX model/);
    refused(new Uint8Array(0), /has no graph/);
    refused(add.subarray(0, add.length - 3), /cannot be read at byte/);
    refused(onnxBytes({ opsets: [{ version: 99n }], graph: { nodes: [], outputs: [] } }), /needs operator set 99/);
  });

  it('that is a damaged model is refused or imported, never worse', () => {
    const nests = /^(loop|scan|if|lstm|gru|simple_rnn|range)/;
    const samples = nodeCases().filter(({ name }, i) => i % 9 === 0 || nests.test(name));
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % below;
    };
    for (const { files } of samples) {
      const bytes = files.get('model.onnx')!;
      for (let round = 0; round < 24; round++) {
        const damaged = new Uint8Array(round % 8 === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
        for (let i = 0; i <= round % 4; i++) if (damaged.length > 0) damaged[random(damaged.length)] = random(256);
        try {
          fromOnnx(damaged);
        } catch (error) {
          if (!(error instanceof UserError || error instanceof LimitationError)) throw error;
        }
      }
    }
  });
});
