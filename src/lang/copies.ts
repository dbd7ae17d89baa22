// Two copies of Ashlar in one program do not know each other's tensors. Each marks what it makes, so that an error can say so.

import { ownFolder } from './source.ts';

/** The same symbol in every copy. */
const mark = Symbol.for('ashlar.copy');

/** Objects of a class know which copy they are of. */
export function markCopy(prototype: object): void {
  Object.defineProperty(prototype, mark, { value: ownFolder });
}

/** Why a thing is not what it looks like: it is of another copy. Null where it is not. */
export function otherCopy(given: unknown): string | null {
  const folder = typeof given === 'object' ? (given as { [mark]?: unknown } | null)?.[mark] : undefined;
  if (typeof folder !== 'string' || folder === ownFolder) return null;
  return (
    `what is given was made by another copy of Ashlar, in ${folder}, and this one is in ${ownFolder}; ` +
    'a program needs one copy: npm ls ashlar shows who brings the other, npm dedupe joins those of one version'
  );
}
