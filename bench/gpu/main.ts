// The program of the pack: runs parts one after another, each a process with a time of its own, and writes what they found
// as Markdown. A part that fails or takes too long leaves what it had.

import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { PartOrder } from './part.ts';
import { cardReport, type PartResults } from './report.ts';

/** Seconds that each part may take: together less than nine minutes. */
const budgets: Readonly<Record<string, number>> = { operations: 75, matmul: 75, bandwidth: 100, networks: 260 };
const parts = Object.keys(budgets);

const help = `usage: .gpu/run [PART …] [--out FOLDER] [--models NAME,…] [--small]

Measures WebGPU on the card of this machine. Parts: ${parts.join(', ')}; without any, all of them, in less than nine minutes.
  --out FOLDER     where results go: webgpu-card.md, PART.json and log.txt (default: gpu-results)
  --models NAME,…  the networks of part networks (default: all)
  --small          small sizes and one turn, to see on a software adapter that everything works
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: 'gpu-results' },
    models: { type: 'string', default: '' },
    small: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const unknown = positionals.find((name) => !(name in budgets));
if (options.help || unknown !== undefined) {
  if (unknown !== undefined) process.stderr.write(`no part ${unknown}\n`);
  process.stderr.write(help);
  process.exit(options.help ? 0 : 2);
}
const out = resolve(options.out);
mkdirSync(out, { recursive: true });
const log = openSync(join(out, 'log.txt'), 'a');

for (const part of positionals.length > 0 ? positionals : parts) {
  const began = Date.now();
  process.stderr.write(`${part} … `);
  rmSync(join(out, `${part}.json`), { force: true });
  const ended = await runPart(part);
  if (ended !== 'done') process.exitCode = 1;
  process.stderr.write(`${ended}, ${((Date.now() - began) / 1000).toFixed(0)} s\n`);
}
closeSync(log);
const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
const text = cardReport(Object.fromEntries(parts.map((part) => [part, found(part)])) as PartResults, machine);
writeFileSync(join(out, 'webgpu-card.md'), text);
process.stdout.write(text);

/** How it ended, for people. */
function runPart(part: string): Promise<string> {
  const milliseconds = budgets[part]! * 1000;
  const order: PartOrder = {
    out,
    small: options.small,
    models: options.models === '' ? [] : options.models.split(','),
    deadline: Date.now() + milliseconds,
  };
  const program = fileURLToPath(new URL(`./${part}.mjs`, import.meta.url));
  // Killed with what it started: its sides are in its group.
  const child = spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  const stopped = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), milliseconds);
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      clearTimeout(stopped);
      resolve(code === 0 ? 'done' : signal === 'SIGKILL' ? 'out of time' : `failed (${signal ?? code}; see log.txt)`);
    });
  });
}

function found(part: string): unknown {
  const path = join(out, `${part}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}
