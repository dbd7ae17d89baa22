// The part of a JavaScript module that is the same in all of them, as text: it loads weights, checks arrays and calls the
// programs. It stands beside the data that js-module.ts prints, and needs nothing but the language and, for weights by address, fetch.

import { arraysText, expectationsText, fetchText } from './runner-text.ts';

export const jsRunner = `${arraysText}

${expectationsText}

function expectRange(key, lower, upper, array) {
  for (let i = 0; i < array.length; i++)
    if (array[i] < lower || array[i] > upper) throw new RangeError('input "' + key + '": indices from ' + lower + ' to ' + upper + ' expected, ' + array[i] + ' given at element ' + i);
}

const overlap = (a, b) => a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;

${fetchText}

/* FNV-1a over words of 32 bits, which a page without TLS can compute too. */
function hashOf(words) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i], 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/* The file as memory whose arrays are aligned. */
function expectWeights(file) {
  if (file.length !== weights.bytes) throw new RangeError('the weights of ' + name + ' are ' + weights.bytes + ' bytes, ' + file.length + ' given');
  const memory = file.byteOffset % 8 === 0 ? file : file.slice();
  const hash = hashOf(new Uint32Array(memory.buffer, memory.byteOffset, memory.byteLength / 4));
  if (hash !== weights.hash) throw new RangeError('these are not the weights of ' + name + ': their hash is ' + hash + ', ' + weights.hash + ' expected');
  return memory;
}

function callable({ inputs, outputs, checks, run }) {
  return (given, results = {}) => {
    expectKnown('input', Object.keys(given), inputs);
    expectKnown('output', Object.keys(results), outputs);
    const read = Object.keys(inputs).map((key) => expectArray('input', key, inputs[key], given[key]));
    for (const [key, lower, upper] of checks) expectRange(key, lower, upper, given[key]);
    const written = Object.keys(outputs).map((key) =>
      Object.hasOwn(results, key) ? expectArray('output', key, outputs[key], results[key]) : new arrays[outputs[key][0]](sizeOf(outputs[key][1])),
    );
    for (const key of Object.keys(results))
      if ([...read, ...written].filter((other) => overlap(other, results[key])).length > 1) throw new TypeError('output "' + key + '" shares memory with another array');
    run(read, written);
    return Object.fromEntries(Object.keys(outputs).map((key, i) => [key, written[i]]));
  };
}

export async function load({ weights: source = beside(), onProgress } = {}) {
  const memory = expectWeights(await fetchBytes(source, onProgress));
  const view = ([dtype, shape, at]) => new arrays[dtype](memory.buffer, memory.byteOffset + at, sizeOf(shape));
  const kept = Object.fromEntries(Object.entries(states).map(([key, state]) => [key, view(state).slice()]));
  const loaded = Object.entries(functions).map(([key, { bind, states: used, externals, ...rest }]) => [
    key,
    callable({ ...rest, run: bind(used.map((state) => kept[state]), externals.map(view)) }),
  ]);
  const state = {
    names: () => Object.keys(kept),
    get(key) {
      expectKnown('state', [key], kept);
      return kept[key].slice();
    },
    set(key, elements) {
      expectKnown('state', [key], kept);
      kept[key].set(expectArray('state', key, states[key], elements));
    },
  };
  return { ...Object.fromEntries(loaded), state };
}
`;
