// Ashlar's side of the memory comparison: a process that compiles a model with its weights from a file, runs it twice and
// prints MemorySide as JSON. It is bundled first, so that what loads TypeScript is not measured with it.

import { compile } from 'ashlar/node';
import type { MemoryOrder } from './memory.ts';
import { exampleInput } from './models/example-input.ts';
import { ashlarModel, models } from './models/index.ts';
import { peakResidentBytes } from './resident.ts';

const { model, file, inputShape } = JSON.parse(process.argv[2]!) as MemoryOrder;
const loadedBytes = peakResidentBytes();
const { definition } = ashlarModel(models[model]!, model);
const run = await compile(definition, { target: 'c', threads: 1, weights: file });
const inputs = { x: exampleInput(models[model]!, inputShape) };
for (let i = 0; i < 2; i++) run(inputs as never);
const { preparedBytes, arenaBytes } = run.program;
process.stdout.write(JSON.stringify({ loadedBytes, peakBytes: peakResidentBytes(), preparedBytes, arenaBytes }));
