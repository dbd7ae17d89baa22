// Tuning in Node: for a target of this machine, with a file for the record and progress on a terminal.

import { Presets, SingleBar } from 'cli-progress';
import type { TerminalStream } from '../../io/terminal-stream.ts';
import { writeAside } from '../../io/write-aside.ts';
import { LimitationError, UserError } from '../../ir/errors.ts';
import { printRecord, type TuningRecord } from '../../passes/tuning.ts';
import { type CompileTargetOptions, type Target, weightsFor } from '../compile.ts';
import type { Definition } from '../definition.ts';
import type { AnyStateStore } from '../state.ts';
import { defaultDevice } from '../webgpu/default-device.ts';
import { WebGpuStateStore } from '../webgpu/state.ts';
import { weightsOfTensors } from '../weights.ts';
import { weightsOfFile } from '../weights-file.ts';
import { cWorkbench } from './c-workbench.ts';
import type { Interruption } from './race.ts';
import { defaultSeconds } from './tune-on-device.ts';
import { type TuneResult, type TunerOptions, tuneOn } from './tuner.ts';
import { wgslWorkbench } from './wgsl-workbench.ts';

export interface TuneOptions
  extends Pick<CompileTargetOptions, 'target' | 'device' | 'threads' | 'compiler' | 'freeze' | 'weights'> {
  /** With `freeze`, where the states' values are. */
  readonly state?: AnyStateStore;
  /** Where the record is written, as JSON, after every problem that was measured. Default: nowhere. */
  readonly path?: string;
  /** Seconds after which no further problem is begun. Default 300. */
  readonly seconds?: number;
  /** An AbortSignal, which ends tuning with its reason; the file then has what was measured. */
  readonly signal?: Interruption;
  /** Where progress is shown if it is a terminal. Default: stderr. */
  readonly stream?: TerminalStream;
}

/**
 * Measures candidates for a function on this machine, for target c every contraction, for wgsl what `tuneForWebGpu` says, and
 * returns, and writes, the record of what won. The target is c unless it is named, or a device or a store on one is given.
 * Deterministic afterwards: the same record and function give the same code. Throws UserError when the record cannot be
 * written or the device is lost, LimitationError for target js, which has one form of each kernel.
 */
export async function tune(definition: Definition, options: TuneOptions = {}): Promise<TuneResult> {
  const { path, seconds = defaultSeconds, signal, stream = process.stderr } = options;
  const progress = new Progress(stream);
  let measured = 0;
  const tuner: TunerOptions = {
    seconds,
    signal,
    onBegin: (problems) => progress.begin(problems),
    onProblem: ({ problem }, record) => {
      measured++;
      progress.finished(problem);
      if (path !== undefined) write(path, record);
    },
  };
  try {
    const result = await tuned(definition, options, tuner);
    if (path !== undefined) write(path, result.record);
    return result;
  } catch (thrown) {
    // Ctrl-C ends a compiler too, whose failure is heard of first.
    await new Promise(setImmediate);
    const error: unknown = signal?.aborted === true ? signal.reason : thrown;
    if (!(error instanceof UserError) || path === undefined || measured === 0) throw error;
    throw new UserError(`${error.message}. ${path} has what was measured until then`);
  } finally {
    progress.stop();
  }
}

async function tuned(definition: Definition, options: TuneOptions, tuner: TunerOptions): Promise<TuneResult> {
  const { state, freeze = false, weights } = options;
  const target = targetOf(options);
  if (target === 'js')
    throw new LimitationError(
      'target js has nothing to tune: each of its kernels has one form; targets c and wgsl can be tuned',
    );
  if (target === 'c') {
    const { compiler, threads } = options;
    const bench = cWorkbench(definition, { compiler, threads, weights: () => weightsFor(definition, options) });
    return tuneOn(bench, tuner).finally(() => bench.close());
  }
  const store = state as WebGpuStateStore | undefined;
  const device = options.device ?? store?.device ?? (await defaultDevice());
  const open = () => (typeof weights === 'string' ? weightsOfFile(weights) : weights && weightsOfTensors(weights));
  return tuneOn(
    await wgslWorkbench(definition, { device, state: store, freeze, weights: () => open() ?? null }),
    tuner,
  );
}

/** Throws UserError for options that the target has no use for. */
function targetOf({ target, device, state, threads, compiler }: TuneOptions): Target {
  const onDevice = device !== undefined || state instanceof WebGpuStateStore;
  const named = target ?? (onDevice ? 'wgsl' : 'c');
  if (named !== 'wgsl' && onDevice) throw new UserError(`target ${named} runs on no device; leave it out`);
  if (named === 'wgsl' && (threads !== undefined || compiler !== undefined))
    throw new UserError(`target wgsl has no ${threads === undefined ? 'compiler' : 'threads'} to set; leave it out`);
  if (named === 'wgsl' && state !== undefined && !onDevice)
    throw new UserError('target wgsl keeps states on a device; the store given is in this process. Leave state out');
  return named;
}

function write(path: string, record: TuningRecord): void {
  try {
    writeAside(path, printRecord(record));
  } catch (error) {
    throw new UserError(
      `the tuning record ${path} cannot be written: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** Shows each finished problem on a terminal; a log file or a pipe gets nothing. */
class Progress {
  readonly #stream: NodeJS.WriteStream;
  #bar: SingleBar | null = null;
  #done = 0;

  constructor(stream: TerminalStream) {
    this.#stream = stream as NodeJS.WriteStream;
  }

  begin(total: number): void {
    const stream = this.#stream;
    if (!stream.isTTY || total === 0) return;
    const format = 'tuning {bar} {value}/{total}  {problem}';
    this.#bar = new SingleBar({ stream, format, barsize: 24, fps: 10, hideCursor: true }, Presets.shades_classic);
    this.#bar.start(total, 0, { problem: '' });
  }

  finished(problem: string): void {
    const width = Math.max(20, (this.#stream.columns ?? 80) - 50);
    this.#bar?.update(++this.#done, { problem: problem.slice(0, width) });
  }

  stop(): void {
    this.#bar?.stop();
  }
}
