// One framework running one model on WebGPU, in a process of its own: what it asks of the device in a run, and its output.
// Usage: side.ts (ashlar | tfjs | jax-js) MODEL [software]. Answers its parent with a SideReport.

import type { Side, SideReport } from '../webgpu-report.ts';
import { provideWebGpu } from './dawn.ts';
import { load } from './frameworks.ts';
import { Meter } from './meter.ts';

const [side, name, adapter] = process.argv.slice(2) as [Side, string, string | undefined];
const meter = new Meter();
await provideWebGpu({ software: adapter === 'software', device: (device) => meter.watch(device) });

const started = performance.now();
const { run } = await load(side, name);
await run();
const firstSeconds = (performance.now() - started) / 1000;
const { peakBytes: loadPeakBytes } = meter.read();

meter.reset();
const began = performance.now();
const output = await run();
const runSeconds = (performance.now() - began) / 1000;
const report: SideReport = { reading: meter.read(), loadPeakBytes, output, firstSeconds, runSeconds };
if (process.send === undefined) console.log(side, name, { ...report, output: report.output.slice(0, 4) });
else await new Promise((sent) => process.send!(report, sent));
process.exit(0);
