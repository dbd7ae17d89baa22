// The values of options: each is checked where the line is parsed, so that a wrong one is misuse and nothing has begun.

import { existsSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { Misuse } from './failure.ts';

/** A whole number of at least 1. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('a whole number of at least 1 expected.');
  return value;
}

/** A positive number of seconds. */
export function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('a positive number expected.');
  return value;
}

/** `a,b`, each one of those that there are, none twice. */
export const listOf =
  <T extends string>(known: readonly T[]) =>
  (text: string): T[] => {
    const given = text.split(',').map((part) => part.trim());
    const unknown = given.find((part) => !(known as readonly string[]).includes(part));
    if (unknown !== undefined)
      throw new InvalidArgumentError(`${JSON.stringify(unknown)} is none of ${known.join(', ')}.`);
    return [...new Set(given)] as T[];
  };

/** `NAME=VALUE`, added to those given before. Either side may hold `=` itself, so names that are known divide it later. */
export const assignment =
  (what: string) =>
  (text: string, before: readonly string[] = []): readonly string[] => {
    if (!/^.+=.+$/s.test(text)) throw new InvalidArgumentError(`${what} expected.`);
    return [...before, text];
  };

/** Added to those given before. */
export const repeated = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** `NAME=VALUE`, added to those given before; the last `=` divides. */
export const named =
  <T>(what: string, parse: (value: string) => T) =>
  (text: string, before: ReadonlyMap<string, T> = new Map()): ReadonlyMap<string, T> => {
    const at = text.lastIndexOf('=');
    if (at < 1 || at === text.length - 1) throw new InvalidArgumentError(`${what} expected.`);
    const name = text.slice(0, at);
    if (before.has(name)) throw new InvalidArgumentError(`${JSON.stringify(name)} is given twice.`);
    return new Map([...before, [name, parse(text.slice(at + 1))]]);
  };

/** Which targets take which options; all that are not here are taken by all. */
const targetsOf: Readonly<Record<string, readonly string[]>> = {
  cpu: ['c'],
  threads: ['c'],
  weights: ['c'],
  kernels: ['wgsl'],
  tuning: ['c', 'wgsl'],
};

/** Throws Misuse for an option that is given and that the target has no use for. */
export function expectForTarget(target: string, options: Readonly<Record<string, unknown>>): void {
  for (const [option, known] of Object.entries(targetsOf)) {
    if (options[option] === undefined || known.includes(target)) continue;
    const those = known.length === 1 ? `target ${known[0]}` : `targets ${known.join(' and ')}`;
    throw new Misuse(`--${option} is for ${those}; leave it out for ${target}`);
  }
}

/** `1,3,224,224`, or `scalar`. */
export const shape = (text: string): number[] =>
  text === 'scalar' ? [] : text.split(',').map((dim) => count(dim.trim()));

/** A file that there is. */
export function existing(path: string): string {
  if (!existsSync(path)) throw new InvalidArgumentError(`${path} does not exist.`);
  return path;
}
