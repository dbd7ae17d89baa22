// Dawn in this process as a browser has it: navigator.gpu and the globals of WebGPU.

import { existsSync } from 'node:fs';
import { create, globals } from 'webgpu';

/** Debian's chromium brings SwiftShader, which runs without a GPU, and a Vulkan loader. */
const chromium = '/usr/lib/chromium';

/** Dawn and the library stop when they are collected. */
const kept = {};

export interface ProvideOptions {
  /** SwiftShader instead of the machine's Vulkan driver, where chromium is installed. */
  readonly software?: boolean;
  /** Dawn's own: `enable-dawn-features=…`, `disable-dawn-features=…`. */
  readonly flags?: readonly string[];
  /** Sees every device that is made. */
  readonly device?: (device: GPUDevice) => void;
}

/** Gives the process navigator.gpu. */
export async function provideWebGpu({
  software = false,
  flags = [],
  device: seen,
}: ProvideOptions = {}): Promise<void> {
  if (software && existsSync(chromium)) {
    const { default: koffi } = await import('koffi');
    process.env.VK_DRIVER_FILES = `${chromium}/vk_swiftshader_icd.json`;
    // A library that is loaded already is what Dawn finds under its name; koffi unloads one that nobody holds.
    Object.assign(kept, { loader: koffi.load(`${chromium}/libvulkan.so.1`) });
  }
  Object.assign(globalThis, globals);
  const gpu = create([...flags]);
  if (seen !== undefined) tellDevices(gpu, seen);
  const userAgent = 'Node Dawn';
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent, hardwareConcurrency: 2 },
    configurable: true,
  });
  Object.assign(kept, { gpu });
}

function tellDevices(gpu: GPU, seen: (device: GPUDevice) => void): void {
  const requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    const adapter = await requestAdapter(options);
    if (adapter === null) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      seen(device);
      return device;
    };
    return adapter;
  };
}
