// `ashlar tune`: measures how each problem of a model runs best on this machine, and writes the record.

import { UserError } from '../../ir/errors.ts';
import { tune } from '../../runtime/tune/tune.ts';
import type { TunedProblem } from '../../runtime/tune/tuner.ts';
import { defaultDevice } from '../../runtime/webgpu/default-device.ts';
import { loadDefinition, type ModelOptions } from '../model/load.ts';
import { expectForTarget } from '../options.ts';
import type { Context } from '../program.ts';
import type { Target } from '../stages.ts';
import { note, print, printJson, table } from '../terminal.ts';

interface TuneCommandOptions extends ModelOptions {
  readonly target: Target;
  readonly out?: string;
  readonly threads?: number;
  readonly seconds: number;
  readonly json?: boolean;
}

export async function tuneModel(path: string, options: TuneCommandOptions, { own }: Context): Promise<void> {
  const { target, threads, seconds } = options;
  if (target !== 'js') expectForTarget(target, { threads });
  const definition = await loadDefinition(path, options, own);
  const record = options.out ?? `${definition.func.name.replace(/[^A-Za-z0-9_.-]+/g, '_')}.tuning.json`;
  const interruption = new AbortController();
  // A second one ends the process as usual.
  process.once('SIGINT', () => interruption.abort(new UserError('tuning was interrupted')));
  const device = target === 'wgsl' ? await defaultDevice() : undefined;
  const result = await tune(definition, {
    target,
    path: record,
    seconds,
    freeze: true,
    signal: interruption.signal,
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  }).finally(() => device?.destroy());
  const { problems, skipped, milliseconds, kept } = result;
  if (options.json === true) {
    const described = problems.map(({ problem, calls, measured, refused, entry }) => ({
      problem,
      calls,
      measured: measured.length,
      refused: refused.length,
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
  noteRefused(problems);
  if (skipped > 0) print(`${skipped} problems were not measured: the time was over (--seconds)`);
  print(`${record}: ${kept ? `${result.record.entries.length} entries` : 'no entries, since the model gains nothing'}`);
}

function noteRefused(problems: readonly TunedProblem[]): void {
  const refused = problems.flatMap((problem) => problem.refused);
  if (refused.length > 0) note(`${refused.length} candidates were refused, such as one because ${refused[0]!.reason}`);
}

const columns = [
  { title: 'problem' },
  { title: 'calls', align: 'right' },
  { title: 'measured', align: 'right' },
  { title: 'untuned µs', align: 'right' },
  { title: 'tuned µs', align: 'right' },
] as const;
