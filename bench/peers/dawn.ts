// Dawn in this process as a browser has it: navigator.gpu and the globals of WebGPU, watched by a meter.

import { existsSync } from 'node:fs';
import koffi from 'koffi';
import { create, globals } from 'webgpu';
import { Meter } from './meter.ts';

/** Debian's chromium brings SwiftShader, which runs without a GPU, and a Vulkan loader. */
const chromium = '/usr/lib/chromium';

/** Dawn and the library stop when they are collected. */
const kept = {};

/**
 * Gives the process navigator.gpu. Uses the Vulkan driver of the machine; `software` asks for SwiftShader.
 */
export function provideWebGpu(software: boolean): Meter {
  if (software && existsSync(chromium)) {
    process.env.VK_DRIVER_FILES = `${chromium}/vk_swiftshader_icd.json`;
    // A library that is loaded already is what Dawn finds under its name; koffi unloads one that nobody holds.
    Object.assign(kept, { loader: koffi.load(`${chromium}/libvulkan.so.1`) });
  }
  Object.assign(globalThis, globals);
  const gpu = create([]);
  const meter = new Meter();
  const requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    const adapter = await requestAdapter(options);
    if (adapter === null) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      meter.watch(device);
      return device;
    };
    return adapter;
  };
  const userAgent = 'Node Dawn';
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent, hardwareConcurrency: 2 },
    configurable: true,
  });
  Object.assign(kept, { gpu });
  return meter;
}
