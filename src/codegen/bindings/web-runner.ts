// The part of a web module that is the same in all of them, as text: it loads weights, makes pipelines and runs functions.
// It stands beside the data that web-module.ts prints, and knows nothing but WebGPU.

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
  const entries = Array.from(access, (letter, binding) => ({ binding, visibility: 4, buffer: { type: letter === 'r' ? 'read-only-storage' : 'storage' } }));
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
    for (const [block, size] of Object.entries(blocks)) buffers[block] = device.createBuffer({ label: block, size, usage: 0x8c });
    for (const [block, at, bytes] of weights.parts) device.queue.writeBuffer(buffers[block], 0, file, at, bytes);
    const ready = ([module, x, y, ...places]) => {
      const pipeline = pipelines[module];
      const entries = places.map(([block, offset, size], binding) => ({ binding, resource: { buffer: buffers[block], offset, size } }));
      return { pipeline, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }), x, y };
    };
    const encode = (encoder, steps) => {
      const pass = encoder.beginComputePass();
      for (const { pipeline, group, x, y } of steps) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(x, y);
      }
      pass.end();
    };
    const write = (value, array) => device.queue.writeBuffer(buffers[value[2]], value[3], toWords(array, value));
    /* Submits the steps and reads values back, by name. */
    const submit = async (steps, values) => {
      if (lost) throw lost;
      const encoder = device.createCommandEncoder();
      encode(encoder, steps);
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
      return results;
    };
    const loaded = {
      state: {
        names: () => Object.keys(states),
        async get(key) {
          expectKnown('state', [key], states);
          return (await submit([], { [key]: states[key] }))[key];
        },
        set(key, array) {
          expectKnown('state', [key], states);
          write(states[key], expectArray('state', key, states[key], array));
        },
      },
      destroy() {
        for (const buffer of Object.values(buffers)) buffer.destroy();
      },
    };
    for (const [key, { inputs, outputs, checks, preparation, steps }] of Object.entries(functions)) {
      const encoder = device.createCommandEncoder();
      encode(encoder, preparation.map(ready));
      device.queue.submit([encoder.finish()]);
      const prepared = steps.map(ready);
      loaded[key] = async (given) => {
        expectKnown('input', Object.keys(given), inputs);
        for (const [input, value] of Object.entries(inputs)) expectArray('input', input, value, given[input]);
        for (const [input, lower, upper] of checks)
          for (const element of given[input])
            if (element < lower || element > upper) throw new RangeError('input "' + input + '": indices from ' + lower + ' to ' + upper + ' expected, ' + element + ' given');
        if (lost) throw lost;
        for (const [input, value] of Object.entries(inputs)) write(value, given[input]);
        return submit(prepared, outputs);
      };
    }
    return loaded;
  });
}
`;
