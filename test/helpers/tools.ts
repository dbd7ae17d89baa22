// Tools that some tests need beside the first compiler: in CI a missing one is a failure, elsewhere those tests are skipped.

import { spawnSync } from 'node:child_process';

export function hasTool(command: string): boolean {
  const found = spawnSync(command, ['--version']).status === 0;
  if (!found && process.env.CI !== undefined) throw new Error(`${command} is missing; .ci/run installs it`);
  if (!found) process.stderr.write(`${command} is not installed: its tests are skipped\n`);
  return found;
}
