// The part of a web module that is the same in all of them, as text: it loads weights, makes pipelines and runs functions.
// It stands beside the data that web-module.ts prints, and knows nothing but WebGPU.

import { firstPiece, mostInPiece } from '../../passes/schedule-loops.ts';
import { arraysText, expectationsText, fetchText } from './runner-text.ts';

export const webRunner = `${arraysText}
const isNarrow = (dtype) => arrays[dtype].BYTES_PER_ELEMENT < 4;

/* A value is [dtype, shape, block, offset, bytes, packed]. */
${expectationsText}

function toWords(array, [dtype, , , , bytes, packed]) {
  if (isNarrow(dtype) && !packed) return Int32Array.from(array);
  if (array.byteLength === bytes) return array;
  const words = new Uint8Array(bytes);
  words.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return words;
}

function fromWords([dtype, shape], memory, offset) {
  const length = sizeOf(shape);
  if (isNarrow(dtype)) return arrays[dtype].from(new Int32Array(memory, offset, length));
  return new arrays[dtype](memory.slice(offset, offset + 4 * length));
}

${fetchText}

async function expectWeights(file) {
  if (file.length !== weights.bytes) throw new RangeError('the weights of ' + name + ' are ' + weights.bytes + ' bytes, ' + file.length + ' given');
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', file));
  const hash = Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (hash !== weights.hash) throw new RangeError('these are not the weights of ' + name + ': their hash is ' + hash + ', ' + weights.hash + ' expected');
}

async function makePipeline(device, { label, code, access }) {
  const types = { r: { type: 'read-only-storage' }, w: { type: 'storage' }, n: { type: 'uniform', hasDynamicOffset: true } };
  const entries = Array.from(access, (letter, binding) => ({ binding, visibility: 4, buffer: types[letter] }));
  const layout = device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] });
  const module = device.createShaderModule({ label, code });
  return device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: 'main' } });
}

/* Runs work on the device; what the device refuses is thrown. */
async function guarded(device, work) {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  try {
    return await work();
  } finally {
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const [memory, validation] = errors;
    if (memory) throw new RangeError(name + ': the device is out of memory (' + memory.message + ')');
    if (validation) throw new Error(name + ': ' + validation.message);
  }
}

export async function load(device, { weights: source = beside(), onProgress } = {}) {
  for (const [limit, needed] of Object.entries(limits))
    if (device.limits[limit] < needed) throw new RangeError(name + ' needs ' + limit + ' ' + needed + ', this device has ' + device.limits[limit] + '; ask for more in requestDevice({ requiredLimits })');
  let lost = null;
  void device.lost.then(({ message }) => (lost = new Error('the GPU device of ' + name + ' is lost: ' + (message || 'no reason is given') + '; load it again on a new one')));
  const file = await fetchBytes(source, onProgress);
  await expectWeights(file);
  return guarded(device, async () => {
    const pipelines = await Promise.all(modules.map((module) => makePipeline(device, module)));
    const buffers = {};
    for (const [block, size] of Object.entries(blocks)) buffers[block] = device.createBuffer({ label: block, size, usage: 0x18c });
    for (const [block, at, bytes] of weights.parts) device.queue.writeBuffer(buffers[block], 0, file, at, bytes);
    /* The numbers of iterations, where dynamic offsets may begin. */
    const most = Math.max(0, ...Object.values(functions).map(({ numbers = 0 }) => numbers));
    if (most > 0) {
      buffers.numbers = device.createBuffer({ label: 'numbers', size: 256 * most, usage: 0x48 });
      const words = new Int32Array(64 * most);
      for (let i = 0; i < most; i++) words[64 * i] = i;
      device.queue.writeBuffer(buffers.numbers, 0, words);
    }
    const ready = (step) => {
      if (step.steps) return { ...step, test: step.test && { ...step.test, steps: step.test.steps.map(ready) }, steps: step.steps.map(ready) };
      const { dispatch = step, numbers = [], gate = null } = step;
      const [module, x, y, ...places] = dispatch;
      const pipeline = pipelines[module];
      const parts = places.map(([block, offset, size]) => ({ buffer: buffers[block], offset, size }));
      const entries = [...parts, ...numbers.map(() => ({ buffer: buffers.numbers, offset: 0, size: 16 }))].map((resource, binding) => ({ binding, resource }));
      return { pipeline, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }), x, y, numbers, gate };
    };
    /* Every dispatch in order, loops written out. Where a loop's end has to be known it gives the place of its gate, and is to
       be resumed with whether that is open. */
    function* running(steps, numbers) {
      for (const step of steps) {
        if (!step.steps) yield { ...step, offsets: step.numbers.map((loop) => 256 * numbers[loop]) };
        else
          for (let done = 0, piece = ${firstPiece}, end = ${firstPiece}; done < (step.count ?? Infinity); done++) {
            if (step.test && done === end) {
              if (!(yield step.test.gate)) break;
              piece = Math.min(2 * piece, ${mostInPiece});
              end += piece;
            }
            const inside = step.numbered ? [...numbers, done] : numbers;
            if (step.test) yield* running(step.test.steps, inside);
            yield* running(step.steps, inside);
          }
      }
    }
    /* Encodes dispatches to the end, or up to a gate that has to be read, which is returned. */
    const encode = (encoder, commands, isOpen, gates) => {
      const pass = encoder.beginComputePass();
      let gate = null;
      for (let next = commands.next(isOpen); !next.done && !gate; next = gate ? next : commands.next()) {
        if (Array.isArray(next.value)) gate = next.value;
        else {
          const { pipeline, group, offsets, x, y, gate: at } = next.value;
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, group, offsets);
          if (at === null) pass.dispatchWorkgroups(x, y);
          else pass.dispatchWorkgroupsIndirect(buffers[gates], at);
        }
      }
      pass.end();
      return gate;
    };
    const write = (value, array) => device.queue.writeBuffer(buffers[value[2]], value[3], toWords(array, value));
    /* Submits the steps and reads values back, by name; in pieces where it has to be known whether a loop goes on. */
    const submit = async (steps, values, gates) => {
      const commands = running(steps, []);
      for (let isOpen = false; ; ) {
        const { gate, results } = await submitPiece(commands, values, gates, isOpen);
        if (!gate) return results;
        isOpen = results.gate[0] !== 0;
      }
    };
    const submitPiece = async (commands, wanted, gates, isOpen) => {
      if (lost) throw lost;
      const encoder = device.createCommandEncoder();
      const gate = encode(encoder, commands, isOpen, gates);
      const values = gate ? { gate: ['u32', [1], ...gate, false] } : wanted;
      const size = Object.values(values).reduce((sum, value) => sum + value[4], 0);
      const readback = device.createBuffer({ size: Math.max(4, size), usage: 9 });
      let at = 0;
      for (const [, , block, offset, bytes] of Object.values(values)) {
        encoder.copyBufferToBuffer(buffers[block], offset, readback, at, bytes);
        at += bytes;
      }
      device.queue.submit([encoder.finish()]);
      try {
        await readback.mapAsync(1);
      } catch (error) {
        await Promise.resolve();
        throw lost ?? error;
      }
      const memory = readback.getMappedRange();
      at = 0;
      const results = {};
      for (const [key, value] of Object.entries(values)) {
        results[key] = fromWords(value, memory, at);
        at += value[4];
      }
      readback.destroy();
      return { gate, results };
    };
    /* Calls that read on their way are not mixed with others. */
    let turn = Promise.resolve();
    let turns = 0;
    const readsOnTheWay = (steps) => steps.some((step) => step.steps && ((step.test && (step.count ?? Infinity) > ${firstPiece}) || readsOnTheWay(step.steps)));
    const inTurn = async (waits, action) => {
      if (!waits && turns === 0) return action();
      turns++;
      const result = turn.then(action);
      turn = result.catch(() => {});
      try {
        return await result;
      } finally {
        turns--;
      }
    };
    const loaded = {
      state: {
        names: () => Object.keys(states),
        async get(key) {
          expectKnown('state', [key], states);
          return (await inTurn(false, () => submit([], { [key]: states[key] })))[key];
        },
        set(key, array) {
          expectKnown('state', [key], states);
          const given = expectArray('state', key, states[key], array);
          if (turns === 0) write(states[key], given);
          else {
            const kept = given.slice();
            void inTurn(true, async () => write(states[key], kept));
          }
        },
      },
      destroy() {
        for (const buffer of Object.values(buffers)) buffer.destroy();
      },
    };
    for (const [key, { inputs, outputs, checks, preparation, steps, gates }] of Object.entries(functions)) {
      const encoder = device.createCommandEncoder();
      encode(encoder, running(preparation.map(ready), []), false, gates);
      device.queue.submit([encoder.finish()]);
      const prepared = steps.map(ready);
      loaded[key] = async (given) => {
        expectKnown('input', Object.keys(given), inputs);
        for (const [input, value] of Object.entries(inputs)) expectArray('input', input, value, given[input]);
        for (const [input, lower, upper] of checks)
          for (const element of given[input])
            if (element < lower || element > upper) throw new RangeError('input "' + input + '": indices from ' + lower + ' to ' + upper + ' expected, ' + element + ' given');
        if (lost) throw lost;
        const waits = readsOnTheWay(prepared);
        const kept = waits || turns > 0 ? Object.fromEntries(Object.keys(inputs).map((input) => [input, given[input].slice()])) : given;
        return inTurn(waits, () => {
          if (lost) throw lost;
          for (const [input, value] of Object.entries(inputs)) write(value, kept[input]);
          return submit(prepared, outputs, gates);
        });
      };
    }
    return loaded;
  });
}
`;
