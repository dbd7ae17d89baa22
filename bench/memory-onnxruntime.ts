// The other side of the memory comparison: a process that loads the same model from its ONNX file, runs it twice and prints
// MemorySide as JSON. Nothing of Ashlar is loaded.

import type { MemoryOrder } from './memory.ts';
import { openSession } from './onnxruntime.ts';
import { benchPackage } from './packages.ts';
import { peakResidentBytes } from './resident.ts';

const { file, inputShape, vocabulary } = JSON.parse(process.argv[2]!) as MemoryOrder;
benchPackage('onnxruntime-node');
const loadedBytes = peakResidentBytes();
const { run } = await openSession(file, 1, inputShape, vocabulary === undefined ? {} : { vocabulary });
for (let i = 0; i < 2; i++) await run();
process.stdout.write(JSON.stringify({ loadedBytes, peakBytes: peakResidentBytes() }));
