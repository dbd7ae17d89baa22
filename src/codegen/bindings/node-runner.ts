// The part of a Node wrapper that is the same in all of them, as text: it loads the library and the weights, checks arrays, and
// calls the program. It stands beside the data that node-wrapper.ts prints.

import { arraysText } from './runner-text.ts';

export const nodeRunner = `${arraysText}
const shown = ({ name, dtype, shape, length }) => '"' + name + '" is ' + dtype + '[' + shape + ']: ' + arrays[dtype].name + ' of ' + length + ' expected, ';
const given = (array) => (array === undefined ? 'nothing' : ArrayBuffer.isView(array) ? array.constructor.name + ' of ' + array.length : typeof array) + ' given';

/* A kind of buffers with the table of their addresses, which C reads as a struct. */
function tableOf(kind, list) {
  const tensors = list.map(([name, dtype, shape, range]) => ({ name, dtype, shape, range, kind: arrays[dtype], length: sizeOf(shape) }));
  const names = new Set(tensors.map(({ name }) => name));
  const addresses = new BigUint64Array(tensors.length);
  return {
    tensors,
    addresses,
    expectKnown(names_) {
      for (const name in names_) if (!names.has(name)) throw new TypeError(kind + ' "' + name + '" does not exist; there are ' + ([...names].join(', ') || 'none'));
    },
    /* The array at a place, its address in the table. */
    put(i, array) {
      const tensor = tensors[i];
      if (!(array instanceof tensor.kind) || array.length !== tensor.length) throw new TypeError(kind + ' ' + shown(tensor) + given(array));
      addresses[i] = tensor.length === 0 ? 64n : koffi.address(array);
      return array;
    },
    make: (i) => new tensors[i].kind(tensors[i].length),
  };
}

function findLibrary() {
  const file = { win32: name + '.dll', darwin: 'lib' + name + '.dylib' }[process.platform] ?? 'lib' + name + '.so';
  const places = ['.', 'build', 'build/Release'].map((folder) => fileURLToPath(new URL(folder + '/' + file, import.meta.url)));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error(file + ' is not beside ' + name + '.mjs, nor in build: cmake -B build -DBUILD_SHARED_LIBS=ON && cmake --build build');
  return found;
}

/* Bytes whose address is a multiple of 64. */
function aligned(count) {
  const memory = new Uint8Array(count + 64);
  const first = (64 - Number(koffi.address(memory) % 64n)) % 64;
  return memory.subarray(first, first + count);
}

export function load({ library = findLibrary(), weights: file = new URL('./' + name + '.weights', import.meta.url), threads = 1 } = {}) {
  const loaded = koffi.load(library);
  const statusName = loaded.func('const char *' + name + '_status_name(int status)');
  const expectOk = (status) => {
    if (status !== 0) throw new RangeError(name + ': ' + statusName(status));
  };
  const declared = (suffix, count, rest) => loaded.func('int ' + name + suffix + '(' + [...Array.from({ length: count }, (_, i) => 'void *p' + i), ...rest].join(', ') + ')');
  const bound = [];
  let bytes = null;
  if (weightBytes > 0) {
    const content = typeof file === 'string' || file instanceof URL ? readFileSync(file) : file;
    if (content.length !== weightBytes) throw new RangeError('the weights of ' + name + ' are ' + weightBytes + ' bytes, ' + content.length + ' given');
    bytes = aligned(weightBytes);
    bytes.set(content);
    const struct = new BigUint64Array(2);
    expectOk(declared('_bind_weights', 2, ['size_t count'])(struct, bytes, bytes.length));
    bound.push(struct);
  }
  const [read, written, kept] = [tableOf('input', inputs), tableOf('output', outputs), tableOf('state', states)];
  const stateArrays = kept.tensors.map((_, i) => kept.put(i, kept.make(i)));
  if (stateArrays.length > 0) expectOk(declared('_initial_states', bound.length + 1, [])(...bound, kept.addresses));
  const workspace = aligned(Number(loaded.func('size_t ' + name + '_workspace_size(void)')()));
  const tables = [read, written, kept].map(({ addresses }) => addresses).filter(({ length }) => length > 0);
  const call = declared('_run', bound.length + tables.length, ['void *workspace', 'size_t workspace_bytes', 'int threads']);
  const passed = [...bound, ...tables, workspace, workspace.length, threads];
  const { tensors } = read;
  const results = written.tensors;
  return {
    /* The bytes of the weights, to which only an address leads, live as long as this does. */
    weights: bytes,
    run(values, into = {}) {
      read.expectKnown(values);
      written.expectKnown(into);
      for (let i = 0; i < tensors.length; i++) read.put(i, values[tensors[i].name]);
      const given = new Array(results.length);
      for (let i = 0; i < results.length; i++) given[i] = written.put(i, Object.hasOwn(into, results[i].name) ? into[results[i].name] : written.make(i));
      expectOk(call(...passed));
      return named(given);
    },
    state: {
      names: () => kept.tensors.map((tensor) => tensor.name),
      get: (key) => stateArrays[placeOf(kept, key)].slice(),
      set(key, elements) {
        const i = placeOf(kept, key);
        const tensor = kept.tensors[i];
        if (!(elements instanceof tensor.kind) || elements.length !== tensor.length) throw new TypeError('state ' + shown(tensor) + given(elements));
        stateArrays[i].set(elements);
      },
    },
  };
}

function placeOf({ tensors }, key) {
  const i = tensors.findIndex(({ name }) => name === key);
  if (i < 0) throw new TypeError('state "' + key + '" does not exist; there are ' + (tensors.map((tensor) => tensor.name).join(', ') || 'none'));
  return i;
}
`;
