// npm run bench [-- NAME …]: measures, prints tables and keeps them in bench/results/.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { compileTime } from './compile-time.ts';
import { matmul } from './matmul.ts';
import { trainingSteps } from './training-steps.ts';
import { typeCheck } from './type-check.ts';

const parts: Readonly<Record<string, () => string | Promise<string>>> = {
  'training-steps': trainingSteps,
  'compile-time': compileTime,
  'type-check': typeCheck,
  matmul,
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in parts));
if (unknown !== undefined) {
  process.stderr.write(`bench: no part ${unknown}; there are ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}
const results = fileURLToPath(new URL('./results/', import.meta.url));
mkdirSync(results, { recursive: true });
const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
for (const [name, part] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const text = await part();
  process.stdout.write(`${text}\n\n`);
  writeFileSync(`${results}${name}.md`, `${text}\n\nMeasured on ${machine}.\n`);
}
