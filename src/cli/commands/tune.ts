// `ashlar tune`: measures how each contraction of a model runs best on this machine, and writes the record.

import { LimitationError } from '../../ir/errors.ts';
import { tune } from '../../runtime/tune/tune.ts';
import { loadDefinition, type ModelOptions } from '../model/load.ts';
import type { Context } from '../program.ts';
import type { Target } from '../stages.ts';
import { print, printJson, table } from '../terminal.ts';

interface TuneCommandOptions extends ModelOptions {
  readonly target: Target;
  readonly out?: string;
  readonly threads?: number;
  readonly seconds: number;
  readonly json?: boolean;
}

const untunable: Readonly<Record<Exclude<Target, 'c'>, string>> = {
  wgsl: 'schedules of target wgsl are estimated, and cannot be measured here',
  js: 'target js has nothing to tune: each of its kernels has one form',
};

export async function tuneModel(path: string, options: TuneCommandOptions, { own }: Context): Promise<void> {
  if (options.target !== 'c') throw new LimitationError(`${untunable[options.target]}; target c can be tuned`);
  const definition = await loadDefinition(path, options, own);
  const record = options.out ?? `${definition.func.name.replace(/[^A-Za-z0-9_.-]+/g, '_')}.tuning.json`;
  const { threads, seconds } = options;
  const result = await tune(definition, {
    path: record,
    seconds,
    freeze: true,
    ...(threads === undefined ? {} : { threads }),
  });
  const { problems, skipped, milliseconds, kept } = result;
  if (options.json === true) {
    const described = problems.map(({ problem, calls, measured, entry }) => ({
      problem,
      calls,
      measured: measured.length,
      untuned_us: entry?.untuned ?? null,
      tuned_us: entry?.tuned ?? null,
    }));
    const { untuned, tuned } = milliseconds;
    printJson({
      record,
      kept,
      entries: result.record.entries.length,
      untuned_ms: untuned,
      tuned_ms: tuned,
      skipped,
      problems: described,
    });
    return;
  }
  if (problems.length > 0)
    print(
      table(
        columns,
        problems.map(({ problem, calls, measured, entry }) => [
          problem,
          String(calls),
          String(measured.length),
          entry === null ? '' : entry.untuned.toPrecision(4),
          entry === null ? 'as it was' : entry.tuned.toPrecision(4),
        ]),
      ),
    );
  const whole = `${milliseconds.untuned.toPrecision(4)} ms untuned, ${milliseconds.tuned.toPrecision(4)} ms tuned`;
  print(`${problems.length === 0 ? 'nothing of this model is worth tuning' : `whole model: ${whole}`}`);
  if (skipped > 0) print(`${skipped} problems were not measured: the time was over (--seconds)`);
  print(`${record}: ${kept ? `${result.record.entries.length} entries` : 'no entries, since the model gains nothing'}`);
}

const columns = [
  { title: 'problem' },
  { title: 'calls', align: 'right' },
  { title: 'measured', align: 'right' },
  { title: 'untuned µs', align: 'right' },
  { title: 'tuned µs', align: 'right' },
] as const;
