// How the command ends: 0 done, 1 it could not be done, 2 the command line itself is wrong.

import { InternalError, LimitationError, UserError } from '../ir/errors.ts';

/** The command line is wrong: an option, a name or a file that it gives. Exit code 2. */
export class Misuse extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Misuse';
  }
}

/** What was asked for could not be done: a file's contents, a model, a target. Exit code 1. */
export class Failure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Failure';
  }
}

/** Errors whose message says all that there is to say. */
const plain = [Misuse, Failure, UserError, LimitationError, InternalError];
/** Their names: another copy of Ashlar throws classes of its own. */
const plainNames: ReadonlySet<string> = new Set(plain.map(({ name }) => name));

export const exitCodeOf = (error: unknown): 1 | 2 => (error instanceof Misuse ? 2 : 1);

/** The error for a terminal: a message, or with $ASHLAR_DEBUG its stack; what nobody foresaw always has its stack. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const debug = (process.env.ASHLAR_DEBUG ?? '') !== '';
  const system = 'syscall' in error;
  const known = plainNames.has(error.name) || plain.some((kind) => error instanceof kind);
  if (!debug && (known || system)) return error.message;
  return error.stack ?? `${error.name}: ${error.message}`;
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
