// Trials on disk, a line of JSON for each as it ends, after one that says of which search they are. What a crash leaves half written is
// the last line alone, which is evaluated again.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeAside } from '../io/write-aside.ts';
import { UserError } from '../ir/errors.ts';
import type { SearchIdentity, TrialStore } from './search.ts';
import type { Trial } from './strategy.ts';

/** Keeps the trials of a search in a file, from which it goes on where it stopped. */
export function trialFile(path: string): TrialStore {
  const name = `the trials in ${path}`;
  return {
    name,
    start(identity) {
      const found = attempt(`${name} cannot be read`, () => (existsSync(path) ? readFileSync(path, 'utf8') : ''));
      const lines = found.split('\n');
      // Every whole line ends with a line feed.
      lines.pop();
      const [head, ...rest] = lines.map((line, i) => parsed(line, `${name}, line ${i + 1}`));
      if (head !== undefined) expectIdentity(head, identity, name);
      const trials = rest.map((trial, i) => expectTrial(trial, `${name}, line ${i + 2}`));
      const text = [identity, ...trials].map((line) => `${JSON.stringify(line)}\n`).join('');
      attempt(`${name} cannot be written`, () => writeAside(path, text));
      return trials;
    },
    add(trial) {
      attempt(`${name} cannot be written`, () => appendFileSync(path, `${JSON.stringify(trial)}\n`));
    },
  };
}

function parsed(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new UserError(`${where}: JSON expected, ${JSON.stringify(line.slice(0, 60))} found`);
  }
}

function expectIdentity(head: unknown, identity: SearchIdentity, name: string): void {
  const found = isRecord(head) ? head : {};
  for (const [key, value] of Object.entries(identity)) {
    if (JSON.stringify(found[key]) === JSON.stringify(value)) continue;
    throw new UserError(
      `${name} are of another search: its ${key} is ${JSON.stringify(found[key])}, and this one's ${JSON.stringify(value)}. ` +
        'Name another file, or remove that one',
    );
  }
}

function expectTrial(found: unknown, where: string): Trial {
  if (
    !isRecord(found) ||
    !Number.isInteger(found.index) ||
    !isRecord(found.parameters) ||
    !(found.value === null || typeof found.value === 'number') ||
    typeof found.seconds !== 'number'
  )
    throw new UserError(`${where}: a trial with index, parameters, value and seconds expected`);
  return found as unknown as Trial;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function attempt<Result>(failure: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw new UserError(`${failure}: ${error instanceof Error ? error.message : error}`);
  }
}
