// Runs one command: parses the line, carries it out, and turns whatever is thrown into one message and an exit code.

import { CommanderError } from 'commander';
import { describeFailure, exitCodeOf } from './failure.ts';
import type { OwnModules } from './model/module.ts';
import { commandLine } from './program.ts';
import { harmless, styled } from './terminal.ts';

/** Resolves to the exit code: 0 done, 1 failed, 2 misuse. */
export async function main(args: readonly string[], own: OwnModules): Promise<number> {
  // A reader that has seen enough, as `head` does, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  let code = 0;
  const program = commandLine({ own, finish: (result) => (code = result) });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has written its message: help and --version end with 0, all else is misuse.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${styled(process.stderr, 'red', 'ashlar:')} ${harmless(describeFailure(error))}\n`);
    return exitCodeOf(error);
  }
}
