// ONNX files as functions: what is imported and how, and what is refused with which words.

import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, exportC, readOnnxFile } from 'ashlar/node';
import { fromOnnx, type OnnxArrays, type OnnxDefinition, type UnsupportedModelError } from 'ashlar/onnx';
import { describe, expect, it } from 'vitest';
import { LimitationError } from '../src/ir/errors.ts';
import { printFunc } from '../src/ir/text.ts';
import { modelOf, node, onnxBytes } from './helpers/onnx-file.ts';

const float = 1;
const int64 = 7;
const floats = (name: string, dims: readonly number[], values: readonly number[]) => ({
  name,
  dims: dims.map(BigInt),
  dataType: float,
  floatData: values,
});
const whole = (name: string, values: readonly bigint[]) => ({
  name,
  dims: [BigInt(values.length)],
  dataType: int64,
  int64Data: values,
});
const call = async (
  definition: OnnxDefinition,
  inputs: object,
): Promise<Record<string, ArrayLike<number | bigint>>> => {
  const run = await compile(definition, { target: 'js' });
  return run(inputs as OnnxArrays);
};
const add = modelOf({
  nodes: [node('Add', ['x', 'w'], ['y'])],
  inputs: { x: [float, ['batch', 2]] },
  outputs: ['y'],
  initializers: [floats('w', [2], [10, 20])],
});

describe('an imported model', () => {
  it('keeps the names of inputs and outputs, whatever they hold', async () => {
    const names = ['x.1:0/"quoted"', '__proto__x', '\u0001 ünï */ \n#include'];
    const bytes = modelOf({
      nodes: [node('Add', names.slice(0, 2), [names[2]!])],
      inputs: { [names[0]!]: [float, [1]], [names[1]!]: [float, [1]] },
      outputs: [names[2]!],
    });
    const definition = fromOnnx(bytes);
    for (const target of ['c', 'js'] as const) {
      const run = await compile(definition, { target });
      const given = { [names[0]!]: Float32Array.of(1), [names[1]!]: Float32Array.of(2) };
      expect(run(given)).toEqual({ [names[2]!]: Float32Array.of(3) });
    }
  });

  it('has dimensions that the file names by option, default 1', () => {
    expect(fromOnnx(add).inputs[0]!.shape).toEqual([1, 2]);
    const { inputs, outputs } = fromOnnx(add, { dimensions: { batch: 3 } });
    expect(inputs).toEqual([{ name: 'x', elementType: 'float', dtype: 'f32', shape: [3, 2] }]);
    expect(outputs[0]!.shape).toEqual([3, 2]);
    expect(fromOnnx(add, { shapes: { x: [2] } }).outputs[0]!.shape).toEqual([2]);
    expect(() => fromOnnx(add, { dimensions: { bach: 3 } })).toThrow(/names no dimension "bach"; it names "batch"/);
    expect(() => fromOnnx(add, { shapes: { z: [3] } })).toThrow(/no input "z"; it has "x"/);
  });

  it('packs large initializers as weights, on C too, and exports them', async () => {
    const elements = Array.from({ length: 80 * 80 }, (_, i) => (i % 81 === 0 ? 2 : 0));
    const bytes = modelOf({
      nodes: [node('MatMul', ['x', 'w'], ['y'])],
      inputs: { x: [float, [1, 80]] },
      outputs: ['y'],
      initializers: [floats('w', [80, 80], elements)],
    });
    const definition = fromOnnx(bytes, { name: 'twice' });
    expect(definition.func.parameters.map(({ name, role }) => [name, role])).toEqual([
      ['x', 'input'],
      ['w', 'weight'],
    ]);
    const x = Float32Array.from({ length: 80 }, (_, i) => i);
    for (const target of ['c', 'js'] as const) {
      const run = await compile(definition, { target });
      expect(run({ x })).toEqual({ y: x.map((value) => 2 * value) });
    }
    expect(() => exportC(definition, { directory: mkdtempSync(join(tmpdir(), 'ashlar-onnx-')) })).not.toThrow();
  });

  it('keeps float16 in two bytes: inputs, outputs and weights', async () => {
    const bytes = modelOf({
      nodes: [node('MatMul', ['x', 'w'], ['y'])],
      inputs: { x: [10, [1, 80]] },
      outputs: ['y'],
      initializers: [{ name: 'w', dims: [80n, 80n], dataType: 10, int32Data: Array<number>(6400).fill(0x3c00) }],
    });
    const definition = fromOnnx(bytes);
    expect(definition.inputs[0]).toEqual({ name: 'x', elementType: 'float16', dtype: 'f16', shape: [1, 80] });
    expect(definition.variables[0]!.type).toEqual({ dtype: 'f16', shape: [80, 80] });
    for (const target of ['c', 'js'] as const) {
      const run = await compile(definition, { target });
      expect(run({ x: new Uint16Array(80).fill(0x3c00) })).toEqual({ y: new Uint16Array(80).fill(0x5500) });
    }
  });

  it('computes shapes exactly, with the largest of int64', async () => {
    const most = 2n ** 63n - 1n;
    const bytes = modelOf({
      nodes: [
        node('Unsqueeze', ['most', 'axes'], ['end']),
        node('Concat', ['end', 'end'], ['ends'], { axis: { i: 0n } }),
        node('Slice', ['x', 'starts', 'ends'], ['y']),
        node('Shape', ['x'], ['shape']),
        node('Gather', ['shape', 'last'], ['columns']),
        node('Mul', ['columns', 'columns'], ['square']),
        node('ConstantOfShape', ['square'], ['z'], { value: { t: whole('v', [most]) } }),
      ],
      inputs: { x: [float, [3, 2]] },
      outputs: ['y', 'z'],
      initializers: [
        { name: 'most', dims: [], dataType: int64, int64Data: [most] },
        whole('axes', [0n]),
        whole('starts', [1n, -1n]),
        whole('last', [-1n]),
      ],
    });
    const { y, z } = await call(fromOnnx(bytes), { x: Float32Array.of(1, 2, 3, 4, 5, 6) });
    expect(y).toEqual(Float32Array.of(4, 6));
    expect(z).toEqual(BigInt64Array.of(most, most, most, most));
  });

  it('names its nodes in emitted code and in errors of targets', async () => {
    const bytes = modelOf({
      nodes: [node('Exp', ['x'], ['e']), node('Add', ['e', 'x'], ['y'])],
      inputs: { x: [float, [100]] },
      outputs: ['y'],
    });
    const { source } = await compile(fromOnnx(bytes), { target: 'js' });
    expect(source).toContain('onnx:Exp:Exp_of_e');
  });

  it('inlines functions of the model, with attributes of the caller', async () => {
    const scale = {
      name: 'Scale',
      domain: 'mine',
      inputs: ['a'],
      outputs: ['b'],
      attributes: ['by'],
      opsets: [{ version: 17n }],
      nodes: [
        {
          operator: 'Constant',
          inputs: [],
          outputs: ['c'],
          attributes: [{ name: 'value_float', reference: 'by', type: 1 }],
        },
        node('Mul', ['a', 'c'], ['b']),
      ],
    };
    const bytes = onnxBytes({
      opsets: [{ version: 17n }, { domain: 'mine', version: 1n }],
      functions: [scale],
      graph: {
        nodes: [
          { ...node('Scale', ['x'], ['t'], { by: { f: 3 } }), domain: 'mine' },
          { ...node('Scale', ['t'], ['y'], { by: { f: 5 } }), domain: 'mine' },
        ],
        inputs: [{ name: 'x', type: { tensor: { elementType: float, shape: { dims: [{ value: 1n }] } } } }],
        outputs: [{ name: 'y' }],
      },
    });
    expect((await call(fromOnnx(bytes), { x: Float32Array.of(2) })).y).toEqual(Float32Array.of(30));
  });

  it.each([
    [
      'Add with broadcast and axis',
      6n,
      node('Add', ['x', 'w'], ['y'], { broadcast: { i: 1n }, axis: { i: 0n } }),
      [2, 3, 5, 6],
    ],
    ['Cast to a name', 1n, node('Cast', ['x'], ['y'], { to: { s: new TextEncoder().encode('FLOAT') } }), [1, 2, 3, 4]],
    [
      'Softmax over all axes from 1 on',
      12n,
      node('Softmax', ['x'], ['y'], { axis: { i: 0n } }),
      [0.032, 0.087, 0.237, 0.644],
    ],
    ['Clip by attributes', 6n, node('Clip', ['x'], ['y'], { min: { f: 2 }, max: { f: 3 } }), [2, 2, 3, 3]],
    ['Slice by attributes', 9n, node('Slice', ['x'], ['y'], { starts: { ints: [1n] }, ends: { ints: [9n] } }), [3, 4]],
    ['Squeeze by attributes', 12n, node('Unsqueeze', ['x'], ['y'], { axes: { ints: [0n] } }), [1, 2, 3, 4]],
    ['Pad by attributes', 10n, node('Pad', ['x'], ['y'], { pads: { ints: [0n, 1n, 0n, 0n] } }), [0, 1, 2, 0, 3, 4]],
    ['ReduceMean by attributes', 17n, node('ReduceMean', ['x'], ['y'], { axes: { ints: [1n] } }), [1.5, 3.5]],
  ])('means what its operator set says: %s', async (_what, version, only, expected) => {
    const bytes = onnxBytes({
      opsets: [{ version }],
      graph: {
        nodes: [only],
        inputs: [
          { name: 'x', type: { tensor: { elementType: float, shape: { dims: [{ value: 2n }, { value: 2n }] } } } },
        ],
        outputs: [{ name: 'y' }],
        initializers: [floats('w', [2], [1, 2])],
      },
    });
    const { y } = await call(fromOnnx(bytes), { x: Float32Array.of(1, 2, 3, 4) });
    expect(Array.from(y as Float32Array, (value) => Math.round(value * 1000) / 1000)).toEqual(expected);
  });

  it('leaves out what no output needs', () => {
    const bytes = modelOf({
      nodes: [node('NoSuchThing', ['x'], ['unused']), node('Neg', ['x'], ['y'])],
      inputs: { x: [float, [1]] },
      outputs: ['y'],
    });
    expect(printFunc(fromOnnx(bytes).func)).toContain('neg');
  });
});

describe('what is not supported', () => {
  it('are outputs of bfloat16, whose rounding f32 does not have', () => {
    const bytes = modelOf({ nodes: [node('Exp', ['x'], ['y'])], inputs: { x: [16, [2]] }, outputs: ['y'] });
    expect(() => fromOnnx(bytes)).toThrow(/its elements are bfloat16; cast it to float/);
  });

  const unsupported = (bytes: Uint8Array, options = {}): UnsupportedModelError => {
    try {
      fromOnnx(bytes, options);
    } catch (error) {
      expect(error).toBeInstanceOf(LimitationError);
      return error as UnsupportedModelError;
    }
    throw new Error('an error expected');
  };

  it('is one error that lists all nodes', () => {
    const bytes = modelOf({
      nodes: [
        node('NoSuchThing', ['x'], ['a']),
        node('Neg', ['a'], ['b']),
        { ...node('Other', ['x'], ['c']), domain: 'com.example' },
        node('Add', ['b', 'c'], ['y']),
      ],
      inputs: { x: [float, [1]] },
      outputs: ['y'],
    });
    expect(unsupported(bytes).message).toBe(
      'not supported: 2 nodes of the ONNX model\n' +
        '  "NoSuchThing of a" ("NoSuchThing"): there is no such operator\n' +
        '  "Other of c" ("Other"): there is no such operator in domain "com.example"',
    );
  });

  it('names inputs whose values shapes depend on, which can be given', () => {
    const bytes = modelOf({
      nodes: [node('Reshape', ['x', 'shape'], ['y'])],
      inputs: { x: [float, [6]], shape: [int64, [2]] },
      outputs: ['y'],
    });
    const error = unsupported(bytes);
    expect(error.inputs).toEqual(['shape']);
    expect(error.message).toContain('shape must be known at import, it depends on input "shape"');
    const definition = fromOnnx(bytes, { constants: { shape: [3, -1] } });
    expect(definition.outputs[0]!.shape).toEqual([3, 2]);
    expect(definition.inputs.map(({ name }) => name)).toEqual(['x']);
  });
});

describe('tensors', () => {
  const encoded = (fields: { readonly dataType: number }): Promise<Record<string, ArrayLike<number | bigint>>> =>
    call(
      fromOnnx(
        modelOf({
          // bfloat16 is no type of outputs.
          nodes: [
            fields.dataType === 16 ? node('Cast', ['w'], ['y'], { to: { i: 1n } }) : node('Identity', ['w'], ['y']),
          ],
          outputs: ['y'],
          initializers: [{ name: 'w', dims: [2n], ...fields }],
        }),
      ),
      {},
    );

  it.each([
    [
      'float in raw_data',
      { dataType: 1, rawData: new Uint8Array(Float32Array.of(1.5, -2).buffer) },
      Float32Array.of(1.5, -2),
    ],
    ['float in float_data', { dataType: 1, floatData: [1.5, -2] }, Float32Array.of(1.5, -2)],
    ['double in double_data', { dataType: 11, doubleData: [0.1, -2] }, Float64Array.of(0.1, -2)],
    ['int64 in int64_data', { dataType: 7, int64Data: [2n ** 60n, -1n] }, BigInt64Array.of(2n ** 60n, -1n)],
    ['uint64 in uint64_data', { dataType: 13, uint64Data: [5n, 2n ** 64n - 1n] }, BigInt64Array.of(5n, -1n)],
    ['uint32 in uint64_data', { dataType: 12, uint64Data: [5n, 2n ** 32n - 1n] }, Uint32Array.of(5, 2 ** 32 - 1)],
    ['int8 in int32_data', { dataType: 3, int32Data: [5, -6] }, Int8Array.of(5, -6)],
    ['uint8 in raw_data', { dataType: 2, rawData: Uint8Array.of(5, 250) }, Uint8Array.of(5, 250)],
    ['int16 in raw_data', { dataType: 5, rawData: new Uint8Array(Int16Array.of(5, -6).buffer) }, Int32Array.of(5, -6)],
    ['uint16 in int32_data', { dataType: 4, int32Data: [5, 65535] }, Int32Array.of(5, 65535)],
    ['float16 in int32_data', { dataType: 10, int32Data: [0x3e00, 0xc000] }, Uint16Array.of(0x3e00, 0xc000)],
    ['float16 in raw_data', { dataType: 10, rawData: Uint8Array.of(0, 0x3e, 1, 0) }, Uint16Array.of(0x3e00, 1)],
    ['bfloat16 in raw_data', { dataType: 16, rawData: Uint8Array.of(0xc0, 0x3f, 0, 0xc0) }, Float32Array.of(1.5, -2)],
    ['bool in int32_data', { dataType: 9, int32Data: [1, 0] }, Uint8Array.of(1, 0)],
  ])('are read from every encoding: %s', async (_what, fields, expected) => {
    expect((await encoded(fields)).y).toEqual(expected);
  });

  it.each([
    ['too few bytes', { dataType: 1, rawData: new Uint8Array(7) }, /"w" is float\[2\]: 8 bytes expected, 7 found/],
    ['too many numbers', { dataType: 1, floatData: [1, 2, 3] }, /2 elements expected, 3 found/],
    ['no type', { dataType: 99, floatData: [1, 2] }, /element type 99, which ONNX does not have/],
    ['huge dimensions', { dims: [2n ** 40n, 2n ** 40n], dataType: 1 }, /more elements than can be counted/],
    ['negative dimensions', { dims: [-1n], dataType: 1 }, /dimensions of whole numbers expected, \[-1\]/],
    [
      'a size that bytes do not have',
      { dims: [2n ** 40n], dataType: 1, rawData: new Uint8Array(4) },
      /bytes expected, 4 found/,
    ],
    ['int4', { dataType: 22, int32Data: [1] }, /elements of type int4/],
  ])('are refused with %s', (_what, fields, message) => {
    expect(() => encoded(fields)).toThrow(message);
  });
});

describe('external data', () => {
  const withData = (entries: Readonly<Record<string, string>>): Uint8Array =>
    modelOf({
      nodes: [node('Add', ['x', 'w'], ['y'])],
      inputs: { x: [float, [2]] },
      outputs: ['y'],
      initializers: [
        {
          name: 'w',
          dims: [2n],
          dataType: float,
          dataLocation: 1,
          externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
        },
      ],
    });
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-onnx-'));
  writeFileSync(join(folder, 'w.bin'), new Uint8Array(Float32Array.of(0, 5, 6).buffer));
  const file = (entries: Readonly<Record<string, string>>): string => {
    const path = join(folder, 'model.onnx');
    writeFileSync(path, withData(entries));
    return path;
  };

  it('is read from the model’s folder', async () => {
    const definition = await readOnnxFile(file({ location: 'w.bin', offset: '4', length: '8' }));
    expect((await call(definition, { x: Float32Array.of(1, 1) })).y).toEqual(Float32Array.of(6, 7));
  });

  it.each([
    [{ location: '../w.bin' }, /a file in the model's folder expected/],
    [{ location: '/etc/passwd' }, /a file in the model's folder expected/],
    [{ location: 'a/../../b' }, /a file in the model's folder expected/],
    [{ location: 'C:\\b' }, /a file in the model's folder expected/],
    [{}, /lies in "": a file in the model's folder expected/],
    [{ location: 'missing.bin' }, /missing.bin cannot be read/],
    [{ location: 'w.bin', offset: '8', length: '8' }, /bytes 8 to 16 of "w.bin" expected, which has 12/],
    [{ location: 'w.bin', offset: '-4' }, /a place in a file expected, "-4" found/],
    [{ location: 'w.bin', offset: '99999999999999' }, /expected, which has 12/],
    [{ location: 'w.bin', length: '4' }, /8 bytes expected, 4 found/],
  ])('is refused: %j', async (entries, message) => {
    await expect(readOnnxFile(file(entries as Record<string, string>))).rejects.toThrow(message);
  });

  it('may not leave the folder by a link', async () => {
    symlinkSync('/etc/hostname', join(folder, 'link.bin'));
    await expect(readOnnxFile(file({ location: 'link.bin' }))).rejects.toThrow(/a file in the model's folder expected/);
  });

  it('has to be given where there are no files', () => {
    expect(() => fromOnnx(withData({ location: 'w.bin' }))).toThrow(/give its bytes by externalData/);
  });
});
