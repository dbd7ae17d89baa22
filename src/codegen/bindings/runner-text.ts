// What the runners of modules have in common, as text: arrays by dtype, checks of what is given, weights from an address.

import { arrayNames } from '../typed-arrays.ts';

/** `arrays`: the class of typed arrays for each dtype. `sizeOf`: the elements of a shape. */
export const arraysText = `const arrays = { ${Object.entries(arrayNames)
  .map(([dtype, name]) => `${dtype}: ${name}`)
  .join(', ')} };
const sizeOf = (shape) => shape.reduce((product, extent) => product * extent, 1);`;

/** A value is [dtype, shape, ...]; `known` has the names as its own properties. */
export const expectationsText = `function expectArray(kind, key, [dtype, shape], array) {
  const length = sizeOf(shape);
  if (array instanceof arrays[dtype] && array.length === length) return array;
  const given = array === undefined ? 'nothing' : ArrayBuffer.isView(array) ? array.constructor.name + ' of ' + array.length : typeof array;
  throw new TypeError(kind + ' "' + key + '" is ' + dtype + '[' + shape + ']: ' + arrays[dtype].name + ' of ' + length + ' expected, ' + given + ' given');
}

function expectKnown(kind, given, known) {
  for (const key of given)
    if (!Object.hasOwn(known, key)) throw new TypeError(kind + ' "' + key + '" does not exist; there are ' + (Object.keys(known).join(', ') || 'none'));
}`;

/** `fetchBytes`: bytes that are given, of a file in Node, or fetched with progress. */
export const fetchText = `async function fetchBytes(source, onProgress) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return new Uint8Array(source.buffer ?? source, source.byteOffset ?? 0, source.byteLength);
  const fs = String(source).startsWith('file:') ? globalThis.process?.getBuiltinModule?.('node:fs') : undefined;
  if (fs !== undefined) return new Uint8Array(fs.readFileSync(new URL(source)));
  const response = source instanceof Response ? source : await fetch(source);
  if (!response.ok) throw new Error('the weights cannot be fetched: ' + response.url + ' answers ' + response.status);
  const parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    onProgress?.(loaded, weights.bytes);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}`;
