// Trials in processes of their own: several at a time, and none that can take the search down with it. A process that dies or takes too
// long costs its trial alone; the next trial gets a new one.

import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { UserError } from '../ir/errors.ts';
import { type Evaluator, type Objective, type Outcome, outcomeOf, type Task } from './search.ts';
import type { Parameters } from './space.ts';

export interface WorkerOptions {
  /** A module that calls `serveTrials`: a path, or a URL of a file. */
  readonly module: string | { readonly href: string };
  /** Processes at a time. Default: one for each processor. */
  readonly count?: number;
  /** Seconds after which a trial has failed and its process is ended. Default: none. */
  readonly timeLimit?: number;
  /** How often a trial is evaluated whose process died: the cause may lie outside of it. Default 2. */
  readonly attempts?: number;
  /** What else the module is told, as its process.argv from the third on. */
  readonly args?: readonly string[];
  /** Options of Node for the processes. Default: those of this process, a loader for TypeScript included. */
  readonly execArgv?: readonly string[];
}

/**
 * An evaluator for `run`: trials in processes that run a module. They stay for the next search of the same evaluator, and end with this
 * process.
 */
export function workers(options: WorkerOptions): Evaluator {
  const { module, count = availableParallelism(), timeLimit, attempts = 2, args = [], execArgv } = options;
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(attempts) || attempts < 1)
    throw new UserError(`workers: whole numbers of at least 1 expected, count ${count} and attempts ${attempts} given`);
  if (timeLimit !== undefined && !(timeLimit > 0))
    throw new UserError(`workers: a time limit above 0 seconds expected, ${timeLimit} given`);
  const place = typeof module === 'string' ? module : module.href;
  const path = place.startsWith('file:') ? fileURLToPath(place) : place;
  const idle: ChildProcess[] = [];
  const busy = new Set<ChildProcess>();
  const start = (): ChildProcess => {
    const child = fork(path, [...args], {
      ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, [serving]: '1' },
    });
    // Told to whoever waits for an answer; that of an idle process is told by its end.
    child.on('error', () => {});
    child.once('exit', () => {
      if (idle.includes(child)) idle.splice(idle.indexOf(child), 1);
    });
    return child;
  };
  const attempt = async (task: Task): Promise<Outcome | Death> => {
    const child = idle.pop() ?? start();
    busy.add(child);
    holds(child, true);
    const outcome = await answer(child, task, timeLimit);
    busy.delete(child);
    holds(child, false);
    if (!('died' in outcome)) idle.push(child);
    return outcome;
  };
  return {
    parallel: count,
    async evaluate(task) {
      for (let tried = 1; ; tried++) {
        const outcome = await attempt(task);
        if (!('died' in outcome)) return outcome;
        if (tried >= attempts || outcome.isFinal) return { failure: outcome.died };
      }
    },
    abandon() {
      for (const child of busy) child.kill('SIGKILL');
    },
  };
}

/** Whether this process goes on as long as that one; idle ones end with it. */
function holds(child: ChildProcess, held: boolean): void {
  if (held) child.ref();
  else child.unref();
  if (held) child.channel?.ref();
  else child.channel?.unref();
}

/** Set in the processes of workers. */
const serving = 'ASHLAR_SERVES_TRIALS';

/** A process that is gone, and whether trying again is of no use. */
interface Death {
  readonly died: string;
  readonly isFinal: boolean;
}

/** A process tells that it begins with a trial before it tells the outcome: the limit is the trial's, not that of starting. */
const began = 'began';
/** Seconds that a process may take to start and load its module. */
const startLimit = 60;

/** What a process says to a task, or how it ended. */
function answer(child: ChildProcess, task: Task, timeLimit: number | undefined): Promise<Outcome | Death> {
  return new Promise((resolve) => {
    const settle = (outcome: Outcome | Death): void => {
      clearTimeout(timer);
      child.off('message', onMessage).off('exit', onExit).off('error', onError);
      resolve(outcome);
    };
    const endAfter = (seconds: number, what: string): NodeJS.Timeout =>
      setTimeout(() => {
        child.kill('SIGKILL');
        settle({ died: `${what} longer than ${seconds} s`, isFinal: true });
      }, 1000 * seconds);
    let timer = endAfter(startLimit, 'starting its process took');
    const onMessage = (message: unknown): void => {
      if (message !== began) {
        settle(message as Outcome);
        return;
      }
      clearTimeout(timer);
      if (timeLimit !== undefined) timer = endAfter(timeLimit, 'it took');
    };
    const onExit = (code: number | null, signal: string | null): void =>
      settle({ died: `its process ended with ${signal ?? `exit code ${code}`}`, isFinal: false });
    const onError = (error: Error): void => settle({ died: `its process failed: ${error.message}`, isFinal: false });
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
    child.send(task, (error) => error !== null && onError(error));
  });
}

/** Whether this process is one of `workers`. */
export const servesTrials = (): boolean => process.env[serving] !== undefined && process.send !== undefined;

/**
 * In a module that `workers` runs: evaluates the trials that this process is sent, until the search ends. Throws UserError in a
 * process that no search started.
 */
export function serveTrials<P = Parameters>(objective: Objective<P>): void {
  if (!servesTrials())
    throw new UserError(
      'serveTrials: this process was not started by a search; give its module to workers({ module })',
    );
  process.on('message', async ({ parameters, ...context }: Task) => {
    process.send!(began);
    process.send!(await outcomeOf(objective, parameters as P, context));
  });
  // Without a search there is nothing to do.
  process.on('disconnect', () => process.exit());
}
