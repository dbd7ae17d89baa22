// Whole networks at batch 1 on the card: Ashlar, TensorFlow.js and jax-js in turn, each in a process of its own on the same
// Dawn, after their outputs have been compared.

import { fileURLToPath } from 'node:url';
import { median } from '../measure.ts';
import { models } from '../models/index.ts';
import { type KernelTime, ratioOfTurns, Side, takeTurns } from '../turns.ts';
import { largestDifference, type Side as Name, sides } from '../webgpu-report.ts';
import { isTimeFor, keeper, order } from './part.ts';
import { adapterName } from './problem.ts';

export interface NetworkSide {
  /** Median milliseconds of a run with its output read, and until the device is done. */
  readonly run: number;
  readonly device: number;
  /** Ashlar's over this side's speed, both ways: the median over neighbouring turns. */
  readonly runRatio: number;
  readonly deviceRatio: number;
  /** Seconds from the model to the first output. */
  readonly loadSeconds: number;
  /** From Ashlar's output, as a share of its largest element. */
  readonly difference: number;
}

export interface NetworkFigures {
  readonly title: string;
  readonly sides: Readonly<Partial<Record<Name, NetworkSide | { readonly failure: string }>>>;
  /** Ashlar's kernels by the card's clock, the slowest first; none where it has no timestamps. */
  readonly kernels: readonly KernelTime[];
}

export interface NetworksFigures {
  readonly adapter: string;
  readonly networks: readonly NetworkFigures[];
  readonly failures: readonly string[];
}

/** What is aimed at first, the rest from small to large. */
const first = ['resnet50', 'gpt2'];
const secondsOfNetwork = 20;
const tolerance = 2e-3;
const program = fileURLToPath(new URL('./network-side.mjs', import.meta.url));

const { models: wanted, small } = order();
const names = wanted.length > 0 ? wanted : [...first, ...Object.keys(models).filter((name) => !first.includes(name))];
const keep = keeper<NetworksFigures>('networks');
const adapter = await adapterName();
const networks: NetworkFigures[] = [];
const failures: string[] = [];
for (const name of names) {
  if (!isTimeFor(secondsOfNetwork)) failures.push(`${name}: no time was left`);
  else {
    try {
      networks.push(await compare(name));
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
  }
  keep({ adapter, networks, failures });
}
process.exit(0);

type Started = { readonly name: Name; readonly side: Side };

async function compare(name: string): Promise<NetworkFigures> {
  const failed: Partial<Record<Name, { failure: string }>> = {};
  const started: Started[] = [];
  try {
    for (const side of sides) {
      try {
        started.push({ name: side, side: await Side.start(program, [side, name]) });
      } catch (error) {
        if (side === 'ashlar') throw error;
        failed[side] = { failure: (error as Error).message };
      }
    }
    const kernels = [...(await started[0]!.side.kernels())].sort((a, b) => b.nanoseconds - a.nanoseconds);
    const turns = small ? 1 : 9;
    const run = await takeTurns(
      started.map(({ side }) => side),
      { turns, what: 'run' },
    );
    const device = await takeTurns(
      started.map(({ side }) => side),
      { turns, what: 'device' },
    );
    const wanted = started[0]!.side.ready.output;
    const figures = started.map(({ name: title, side }, i) => {
      const difference = largestDifference(wanted, side.ready.output);
      if (!(difference <= tolerance))
        return [title, { failure: `its output differs by ${difference.toExponential(1)}` }] as const;
      const measured: NetworkSide = {
        run: median(run[i]!.flat()),
        device: median(device[i]!.flat()),
        runRatio: ratioOfTurns(run[0]!, run[i]!),
        deviceRatio: ratioOfTurns(device[0]!, device[i]!),
        loadSeconds: side.ready.loadSeconds,
        difference,
      };
      return [title, measured] as const;
    });
    return { title: models[name]!.title, sides: { ...Object.fromEntries(figures), ...failed }, kernels };
  } finally {
    for (const { side } of started) side.end();
  }
}
