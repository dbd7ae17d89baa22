// One framework with one model on WebGPU in a process of its own, which times runs when it is asked to (turns.ts).
// Usage: timed-side (ashlar | tfjs | jax-js) MODEL [software].

import type { KernelTime, SideAnswer, SideRequest } from '../turns.ts';
import type { Side } from '../webgpu-report.ts';
import { provideWebGpu } from './dawn.ts';
import { load } from './frameworks.ts';

const [side, name, adapter] = process.argv.slice(2) as [Side, string, string | undefined];
const devices: GPUDevice[] = [];
await provideWebGpu({
  software: adapter === 'software',
  flags: ['disable-dawn-features=timestamp_quantization'],
  device: (device) => devices.push(device),
});
const answer = (message: SideAnswer): void => void process.send!(message);
const began = performance.now();
const { run, submit, kernels } = await load(side, name);
const output = await run();
const loadSeconds = (performance.now() - began) / 1000;
answer({ kind: 'ready', output: Float32Array.from(output), loadSeconds });

const milliseconds = async (action: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await action();
  return performance.now() - start;
};

/** run: with the output read. device: until the device is done. */
const timed: Readonly<Record<string, () => Promise<number>>> = {
  run: () => milliseconds(run),
  device: () =>
    milliseconds(async () => {
      await submit();
      await Promise.all(devices.map((device) => device.queue.onSubmittedWorkDone()));
    }),
};

/** Of a run after one that does not count; none where the device has no clock, or the framework does not say. */
async function kernelTimes(): Promise<readonly KernelTime[]> {
  if (kernels === undefined || !devices.every((device) => device.features.has('timestamp-query'))) return [];
  await kernels();
  return kernels();
}

process.on('message', async ({ runs, what }: SideRequest) => {
  if (what === 'kernels') {
    answer({ kind: 'timed', milliseconds: [], kernels: await kernelTimes() });
    return;
  }
  const times: number[] = [];
  // One before them meets caches and clocks as the other side left them.
  for (let i = -1; i < runs; i++) {
    const time = await timed[what]!();
    if (i >= 0) times.push(time);
  }
  answer({ kind: 'timed', milliseconds: times });
});
