// WebGPU in Node: Dawn from the package `webgpu`, on whatever Vulkan driver there is. Where there is none, the software
// driver that comes with chromium is used: its description and the Vulkan loader lie beside the browser.

import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../../ir/errors.ts';
import { type Wait, waitBy } from './waiting.ts';

/** Where Linux distributions and Google put chromium with SwiftShader. */
const softwareDrivers = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
];

/** Where the Vulkan loader of Linux looks for drivers by default. */
const driverFolders = ['/etc', '/usr/share', '/usr/local/share', '/usr/local/etc', join(homedir(), '.local/share')].map(
  (folder) => join(folder, 'vulkan/icd.d'),
);

/** Dawn's instance ends with the object that stands for it, whatever devices of it are still in use; so does a library. */
const kept: unknown[] = [];

/** The variables by which the Vulkan loader is told its drivers. */
const loaderVariables = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];

/**
 * A `GPU` as navigator.gpu is one in browsers. $ASHLAR_VULKAN_DRIVER may name the driver's ICD file (`*_icd.json`). Throws
 * UserError where no adapter can be had, with the ways out.
 */
export async function nodeGpu(): Promise<GPU> {
  const { create: make } = await dawn();
  const create = (): GPU => {
    const gpu = waitBy(make([]), withRests);
    kept.push(gpu);
    return gpu;
  };
  const named = process.env.ASHLAR_VULKAN_DRIVER;
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) throw new UserError(`$ASHLAR_VULKAN_DRIVER names ${named}, which does not exist`);
    await loadLoader(named);
    process.env.VK_DRIVER_FILES = named;
    return expectAdapter(create(), `the driver ${named} of $ASHLAR_VULKAN_DRIVER offers no adapter`);
  }
  const chosen = loaderVariables.find((name) => process.env[name] !== undefined);
  const software = softwareDrivers.find(existsSync);
  await loadLoader(software);
  if (chosen !== undefined || software === undefined || hasSystemDriver()) {
    const system = create();
    if ((await system.requestAdapter()) !== null) return system;
  }
  if (chosen === undefined && software !== undefined) {
    process.env.VK_DRIVER_FILES = software;
    return expectAdapter(create(), `the software driver ${software} offers no adapter`);
  }
  throw noAdapter(
    chosen === undefined
      ? 'there is no Vulkan driver'
      : `the driver of $${chosen} offers none, or there is no Vulkan loader`,
  );
}

/** Milliseconds in which Dawn may ask as often as it can, and of each rest after them. */
const eager = 2;
const rest = 0.5;

const nobody = new Int32Array(new SharedArrayBuffer(4));
let answersDue = 0;
let waitingSince = 0;
let isTurning = false;

/**
 * While an answer is due Dawn asks its device in every turn of the event loop, which keeps a core busy that a driver without a
 * card computes on. After a moment each turn has a rest.
 */
const withRests: Wait = async (answer) => {
  if (answersDue++ === 0) waitingSince = performance.now();
  if (!isTurning) turn();
  try {
    return await answer;
  } finally {
    answersDue--;
  }
};

function turn(): void {
  isTurning = answersDue > 0;
  if (!isTurning) return;
  if (performance.now() - waitingSince > eager) Atomics.wait(nobody, 0, 0, rest);
  setImmediate(turn);
}

/** False where the loader would look for drivers in vain, and say so on stderr. */
function hasSystemDriver(): boolean {
  if (process.platform !== 'linux') return true;
  return driverFolders.some(
    (folder) => existsSync(folder) && readdirSync(folder).some((file) => file.endsWith('.json')),
  );
}

async function dawn(): Promise<typeof import('webgpu')> {
  try {
    return await import('webgpu');
  } catch (error) {
    throw new UserError(
      `WebGPU in Node needs the package webgpu (npm install webgpu): ${(error as Error).message}. Target c or js needs none`,
    );
  }
}

/** Where Linux has no Vulkan loader, the one that lies beside a driver is loaded; Dawn then finds it by its name. */
async function loadLoader(driver: string | undefined): Promise<void> {
  if (driver === undefined || process.platform !== 'linux') return;
  const { default: koffi } = await import('koffi');
  try {
    kept.push(koffi.load('libvulkan.so.1'));
  } catch {
    const beside = join(dirname(driver), 'libvulkan.so.1');
    if (existsSync(beside)) kept.push(koffi.load(beside));
  }
}

async function expectAdapter(gpu: GPU, otherwise: string): Promise<GPU> {
  if ((await gpu.requestAdapter()) === null) throw noAdapter(otherwise);
  return gpu;
}

function noAdapter(why: string): UserError {
  return new UserError(
    `WebGPU finds no adapter: ${why}. Install a Vulkan driver and loader (Debian: libvulkan1 and the card's driver), or chromium for its software driver, or name a driver's ICD file in $ASHLAR_VULKAN_DRIVER; or compile for target c or js`,
  );
}
