// .npy files from anywhere: whatever bytes they hold, the reader gives an array that they describe, or one clear error.

import { describe, expect, it } from 'vitest';
import { elementsOf, type FileDType } from '../src/io/array.ts';
import { readNpy, writeNpy } from '../src/io/npy.ts';
import { UserError } from '../src/ir/errors.ts';
import { seeded } from './helpers/samples.ts';

const mutations = 4000;

/** Headers that hold what headers may hold, put together wrongly. */
const pieces = [
  ...[
    "'descr'",
    "'fortran_order'",
    "'shape'",
    "'<f4'",
    "'>i8'",
    "'|b1'",
    "'<f2'",
    "'|O'",
    "'<M8[ns]'",
    'True',
    'False',
  ],
  ...[
    '(',
    ')',
    '{',
    '}',
    ',',
    ':',
    ' ',
    '0',
    '1',
    '3',
    '-1',
    '1e9',
    '4294967296',
    '99999999999999999999',
    'L',
    "'",
    '\n',
    '\0',
  ],
];

const valid = (['f32', 'f64', 'f16', 'i64', 'i8', 'bool'] as const).map((dtype) =>
  writeNpy({
    dtype,
    shape: [2, 3],
    data: new elementsOf[dtype](new ArrayBuffer(6 * elementsOf[dtype].BYTES_PER_ELEMENT)),
  }),
);

function withHeader(text: string, data = new Uint8Array(48)): Uint8Array {
  const header = new TextEncoder().encode(text);
  return Uint8Array.of(
    ...new TextEncoder().encode('?NUMPY').with(0, 0x93),
    1,
    0,
    header.length & 255,
    header.length >> 8,
    ...header,
    ...data,
  );
}

/** The array is what the file has room for, or the error says what is wrong with it. */
function expectReadOrRefused(bytes: Uint8Array): 'read' | 'refused' {
  try {
    const { shape, dtype, data } = readNpy(bytes, 'fuzzed.npy');
    const size = shape.reduce((product, dim) => product * dim, 1);
    expect(data.length).toBe(size);
    expect(size * elementsOf[dtype as FileDType].BYTES_PER_ELEMENT).toBeLessThanOrEqual(bytes.length);
    return 'read';
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(/^fuzzed\.npy: /);
    return 'refused';
  }
}

describe('a mutated .npy file', () => {
  it('with other bytes, or cut, is read or refused', () => {
    const random = seeded(5);
    const below = (n: number): number => Math.floor(n * random());
    const seen = { read: 0, refused: 0 };
    for (let i = 0; i < mutations; i++) {
      const bytes = valid[below(valid.length)]!.slice();
      for (let change = 0; change <= below(4); change++) bytes[below(bytes.length)] = below(256);
      seen[expectReadOrRefused(random() < 0.3 ? bytes.subarray(0, below(bytes.length + 1)) : bytes)]++;
    }
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(mutations / 20);
  });

  it('with another header is read or refused', () => {
    const random = seeded(6);
    const piece = (): string => pieces[Math.floor(pieces.length * random())]!;
    for (let i = 0; i < mutations; i++) {
      const { length } = pieces;
      expectReadOrRefused(withHeader(Array.from({ length: Math.floor(length * random()) }, piece).join('')));
      expectReadOrRefused(
        withHeader(`{'descr': ${piece()}, 'fortran_order': ${piece()}, 'shape': (${piece()}, ${piece()}), }`),
      );
    }
  });

  it.each([
    ['(4294967296, 4294967296)', /more elements than can be counted/],
    ['(99999999999999999999,)', /dimensions of whole numbers expected/],
    ['(1000000000,)', /cut short: 4000000\d+ bytes expected/],
    [`(${'1,'.repeat(65)})`, /up to 64 axes expected, 65 found/],
    ['(-1, 2)', /a header with descr, fortran_order and shape expected/],
  ])('with shape %s is refused before memory is taken', (shape, message) => {
    expect(() => readNpy(withHeader(`{'descr': '<f4', 'fortran_order': True, 'shape': ${shape}, }`))).toThrow(message);
  });
});
