// How long a user waits for a training step with derivatives of derivatives: from the expressions to the first call, with a C
// compiler's cache that is empty.

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from 'ashlar/node';
import { digitsGameOf } from '../examples/convolutional-gan.ts';
import { gameOf } from '../examples/generative-adversarial.ts';
import type { Definition } from '../src/runtime/definition.ts';
import { median, progress, table } from './measure.ts';

const runs = 5;

const steps: Readonly<Record<string, () => Definition>> = {
  'WGAN-GP in the plane, batch 128': () => gameOf('Wasserstein').train as Definition,
  'WGAN-GP of 8 × 8 images, convolutional, batch 64': () => digitsGameOf('Wasserstein').train as Definition,
};

/** Seconds of each stage. */
interface Stages {
  readonly build: number;
  readonly passes: number;
  readonly compiler: number;
}

async function waited(make: () => Definition): Promise<Stages & { readonly characters: number }> {
  const before = process.env.ASHLAR_CACHE;
  const cache = mkdtempSync(join(tmpdir(), 'ashlar-compile-'));
  process.env.ASHLAR_CACHE = cache;
  try {
    const started = performance.now();
    const definition = make();
    const built = performance.now();
    let printed = { at: built, characters: 0 };
    await compile(definition, {
      target: 'c',
      print: (stage, text) => {
        if (stage === 'c') printed = { at: performance.now(), characters: text.length };
      },
    });
    const { at, characters } = printed;
    const ended = performance.now();
    return { build: built - started, passes: at - built, compiler: ended - at, characters };
  } finally {
    if (before === undefined) delete process.env.ASHLAR_CACHE;
    else process.env.ASHLAR_CACHE = before;
    rmSync(cache, { recursive: true, force: true });
  }
}

export async function compileSteps(): Promise<string> {
  const rows: (string | number)[][] = [];
  for (const [title, make] of Object.entries(steps)) {
    progress(`compiling ${title}`);
    const found = [];
    // The first is what a process that has compiled nothing yet waits for; the others find its functions compiled by V8.
    for (let run = 0; run <= runs; run++) found.push(await waited(make));
    const [first, ...others] = found;
    const total = ({ build, passes, compiler }: Stages): number => build + passes + compiler;
    const stages = (['build', 'passes', 'compiler'] as const).map((stage) => median(others.map((run) => run[stage])));
    rows.push([
      title,
      (first!.characters / 1e3).toFixed(0),
      ...stages.map((ms) => ms.toFixed(0)),
      (median(others.map(total)) / 1e3).toFixed(2),
      (total(first!) / 1e3).toFixed(2),
    ]);
  }
  return [
    '## From a training step’s expressions to its first call',
    '',
    table(
      ['step', 'C KB', 'build ms', 'passes and print ms', 'C compiler ms', 'all, s', 'the first in a process, s'],
      rows,
    ),
    '',
    `Medians of ${runs}, the cache of compiled C empty; up to ${availableParallelism()} C compilers at once.`,
  ].join('\n');
}
