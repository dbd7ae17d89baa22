// The GPU of the machine that the pack runs on.

import { provideWebGpu } from '../peers/dawn.ts';

let provided: Promise<void> | null = null;

/** The same in every call, as navigator.gpu. Its timestamps are exact, not rounded to a tenth of a millisecond. */
export async function nodeGpu(): Promise<GPU> {
  provided ??= provideWebGpu({ flags: ['disable-dawn-features=timestamp_quantization'] });
  await provided;
  return (globalThis as unknown as { navigator: { gpu: GPU } }).navigator.gpu;
}
