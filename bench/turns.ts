// Sides of a comparison as processes that take turns: each is told how many runs to time, so that all meet the same weather.

import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from './measure.ts';

export type SideAnswer =
  | { readonly kind: 'ready'; readonly output: Float32Array; readonly loadSeconds: number }
  | { readonly kind: 'timed'; readonly milliseconds: readonly number[]; readonly kernels?: readonly KernelTime[] };

/** One kernel of a run by the device's own clock. */
export interface KernelTime {
  readonly kernel: string;
  readonly nanoseconds: number;
}

/** Asks for the times of so many runs. */
export interface SideRequest {
  readonly runs: number;
  /** What of a run is timed, where a side knows several things. */
  readonly what: string;
}

export const defaultTurns = 9;
/** Turns that each side has, and how long one is: enough runs for a median, short enough that both meet the same weather. */
const turnMilliseconds = 100;
const mostRunsPerTurn = 500;
/** Long enough for the threads of a finished turn to go to sleep. */
const pauseMilliseconds = 30;

/** A process that runs one side. */
export class Side {
  readonly #process: ChildProcess;
  readonly ready: Extract<SideAnswer, { kind: 'ready' }>;
  readonly #runs = new Map<string, number>();
  private constructor(child: ChildProcess, ready: Extract<SideAnswer, { kind: 'ready' }>) {
    this.#process = child;
    this.ready = ready;
  }

  /** Starts the program and waits until it has an output. */
  static async start(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Side> {
    const child = fork(program, [...args], { serialization: 'advanced', env });
    return new Side(child, await answerOf(child, 'ready'));
  }

  async #ask(request: SideRequest) {
    const answer = answerOf(this.#process, 'timed');
    this.#process.send(request);
    return await answer;
  }

  /** The time of each kernel of one run; none where the device has no clock. */
  async kernels(): Promise<readonly KernelTime[]> {
    return (await this.#ask({ runs: 1, what: 'kernels' })).kernels ?? [];
  }

  /** The milliseconds of as many runs as fill a turn. */
  async time(what: string): Promise<readonly number[]> {
    const { milliseconds } = await this.#ask({ runs: this.#runs.get(what) ?? 1, what });
    const fitting = Math.round(turnMilliseconds / median(milliseconds));
    this.#runs.set(what, Math.max(1, Math.min(mostRunsPerTurn, fitting)));
    return milliseconds;
  }
  end(): void {
    this.#process.kill();
  }
}

/** Milliseconds of each side's turns; a turn before the first does not count. */
export async function takeTurns(
  sides: readonly Side[],
  { turns = defaultTurns, what = 'run' }: { readonly turns?: number; readonly what?: string } = {},
): Promise<(readonly number[])[][]> {
  const times: (readonly number[])[][] = sides.map(() => []);
  for (let turn = -1; turn < turns; turn++) {
    for (const [i, side] of sides.entries()) {
      await pause(pauseMilliseconds);
      const milliseconds = await side.time(what);
      if (turn >= 0) times[i]!.push(milliseconds);
    }
  }
  return times;
}

/** How much longer the second takes: the median over neighbouring turns. */
export const ratioOfTurns = (first: readonly (readonly number[])[], second: readonly (readonly number[])[]): number =>
  median(first.map((turn, i) => median(second[i]!) / median(turn)));

function answerOf<K extends SideAnswer['kind']>(
  child: ChildProcess,
  kind: K,
): Promise<Extract<SideAnswer, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null, signal: string | null): void =>
      reject(new Error(`the process measured ended with ${signal ?? `code ${code}`} before it was ${kind}`));
    child.once('exit', ended);
    child.once('message', (message: SideAnswer) => {
      child.off('exit', ended);
      resolve(message as Extract<SideAnswer, { kind: K }>);
    });
  });
}
