import { gzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { readCsv } from '../src/io/csv.ts';
import { readIdx } from '../src/io/idx.ts';
import { readNpy, readNpz, writeNpy, writeNpz } from '../src/io/npy.ts';
import { readSafetensors, writeSafetensors } from '../src/io/safetensors.ts';

const bytes = (...parts: (number[] | Uint8Array | string)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) => (typeof part === 'string' ? Array.from(part, (c) => c.charCodeAt(0)) : [...part])),
  );

describe('IDX', () => {
  const file = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3], [1, 2, 3, 4, 5, 6]);
  it('reads bytes with their shape', () => {
    expect(readIdx(file)).toEqual({ dtype: 'u8', shape: [2, 3], data: Uint8Array.from([1, 2, 3, 4, 5, 6]) });
  });
  it('unpacks gzip', () => {
    expect(readIdx(gzipSync(file)).shape).toEqual([2, 3]);
  });
  it('turns big-endian numbers around', () => {
    expect([...(readIdx(bytes([0, 0, 12, 1, 0, 0, 0, 1], [0, 0, 1, 2])).data as Int32Array)]).toEqual([258]);
  });
  it.each([
    ['cut short', file.subarray(0, 15), /cut short: 18 bytes expected for u8\[2,3\], the file has 15/],
    ['of another kind', bytes('PK\x03\x04'), /not an IDX file: it begins with 50 4b 03 04/],
    [
      'of huge dimensions',
      bytes([0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255]),
      /more elements than can be counted|cut short/,
    ],
    ['with broken gzip', bytes([0x1f, 0x8b, 8, 0, 1]), /broken gzip/],
  ])('refuses a file %s', (_what, content, message) => {
    expect(() => readIdx(content, 'x.idx')).toThrow(message);
    expect(() => readIdx(content, 'x.idx')).toThrow(/^x\.idx/);
  });
});

describe('npy and npz', () => {
  const array = { shape: [2, 3], dtype: 'f32' as const, data: Float32Array.from([1, 2, 3, 4, 5, 6]) };
  it('reads what it writes', () => {
    expect(readNpy(writeNpy(array))).toEqual(array);
    expect(readNpz(writeNpz([['a', array]])).get('a')).toEqual(array);
  });
  it('aligns the elements at 64 bytes, as NumPy does', () => {
    expect((writeNpy(array).length - 24) % 64).toBe(0);
  });
  it('reads a scalar and a vector', () => {
    const scalar = { shape: [], dtype: 'f64' as const, data: Float64Array.from([3]) };
    expect(readNpy(writeNpy(scalar))).toEqual(scalar);
    const vector = { shape: [2], dtype: 'i64' as const, data: BigInt64Array.from([1n, -1n]) };
    expect(readNpy(writeNpy(vector))).toEqual(vector);
  });
  it('turns Fortran order into row-major', () => {
    const written = writeNpy({ ...array, data: Float32Array.from([1, 4, 2, 5, 3, 6]) });
    const text = new TextDecoder('latin1').decode(written).replace("'fortran_order': False", "'fortran_order': True ");
    expect([...(readNpy(bytes(text)).data as Float32Array)]).toEqual([1, 2, 3, 4, 5, 6]);
  });
  it.each([
    ['cut short', writeNpy(array).subarray(0, 140), /cut short/],
    ['of another kind', bytes('hello, world'), /not a \.npy file/],
    ['with a header of nonsense', bytes('\x93NUMPY\x01\x00\x04\x00abcd'), /a header with descr/],
  ])('refuses a file %s', (_what, content, message) => {
    expect(() => readNpy(content, 'x.npy')).toThrow(message);
  });
  it('refuses an archive that is none', () => {
    expect(() => readNpz(bytes('not a zip archive at all'), 'x.npz')).toThrow(/x\.npz: not a readable zip archive/);
  });
});

describe('safetensors', () => {
  const tensor = { shape: [2], dtype: 'f32' as const, data: Float32Array.from([1.5, -2]) };
  const header = (text: string, body: number[] = []): Uint8Array =>
    bytes([text.length, 0, 0, 0, 0, 0, 0, 0], text, body);
  it('reads what it writes, with metadata', () => {
    const { tensors, metadata } = readSafetensors(writeSafetensors([['w', tensor]], { step: '3' }));
    expect(tensors.get('w')).toEqual(tensor);
    expect(metadata).toEqual({ step: '3' });
  });
  it('writes the same bytes for the same input', () => {
    expect(writeSafetensors([['w', tensor]])).toEqual(writeSafetensors([['w', tensor]]));
  });
  it.each([
    ['cut short', writeSafetensors([['w', tensor]]).subarray(0, 70), /outside the file's|cut short/],
    ['with a header longer than itself', bytes([255, 255, 255, 255, 255, 255, 255, 255]), /header of at most/],
    ['whose header is no JSON', header('{{{'), /not JSON/],
    ['with offsets outside', header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'), /outside the file's 0/],
    [
      'with a shape that lies',
      header('{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}', [0, 0, 0, 0]),
      /36 bytes expected/,
    ],
    [
      'with an unknown dtype',
      header('{"a":{"dtype":"constructor","shape":[],"data_offsets":[0,0]}}'),
      /dtype "constructor"/,
    ],
    [
      'with overlapping tensors',
      header(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        [1, 2, 3],
      ),
      /overlap/,
    ],
    [
      'with a negative dimension',
      header('{"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}}', [1, 2]),
      /whole numbers/,
    ],
  ])('refuses a file %s', (_what, content, message) => {
    expect(() => readSafetensors(content, 'w.safetensors')).toThrow(message);
  });
});

describe('CSV', () => {
  it('reads rows of numbers', () => {
    const { columns, array } = readCsv('1,2\n3,4.5\n');
    expect(columns).toBeNull();
    expect(array).toEqual({ shape: [2, 2], dtype: 'f64', data: Float64Array.from([1, 2, 3, 4.5]) });
  });
  it('finds a header', () => {
    expect(readCsv('a,b\n1,2').columns).toEqual(['a', 'b']);
  });
  it.each([
    ['a word where a number belongs', '1,2\n3,x', /row 2, column 2: a number expected, "x" found/],
    ['a short row', '1,2\n3', /row 2: 2 cells expected, 1 found/],
    ['nothing', '', /empty/],
  ])('refuses %s', (_what, content, message) => {
    expect(() => readCsv(content, {}, 'x.csv')).toThrow(message);
  });
});
