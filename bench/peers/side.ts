// One framework running one model on WebGPU, in a process of its own: what it asks of the device in a run, and its output.
// Usage: side.ts (ashlar | tfjs | jax-js) MODEL (software | system) [counts]. Answers its parent with a SideReport; `counts`
// executes no kernel, so that the output means nothing.

import type { Side, SideReport } from '../webgpu-report.ts';
import { provideWebGpu } from './dawn.ts';
import { load } from './frameworks.ts';
import { Meter } from './meter.ts';

const [side, name, adapter, mode] = process.argv.slice(2) as [Side, string, string?, string?];
const meter = new Meter();
meter.executes = mode !== 'counts';
await provideWebGpu({ software: adapter === 'software', device: (device) => meter.watch(device) });

const started = performance.now();
const { run } = await load(side, name);
const output = await run();
const firstSeconds = (performance.now() - started) / 1000;
const { peakBytes: loadPeakBytes } = meter.read();

meter.reset();
meter.executes = false;
await run();
const report: SideReport = { reading: meter.read(), loadPeakBytes, output, firstSeconds };
if (process.send === undefined) console.log(side, name, { ...report, output: report.output.slice(0, 4) });
else await new Promise((sent) => process.send!(report, sent));
process.exit(0);
