// JavaScript identifiers: no word of the language, no global that generated code uses.

import { identifierRule, UniqueNames } from '../names.ts';

const reserved: ReadonlySet<string> = new Set(
  (
    'arguments await break case catch class const continue debugger default delete do else enum eval export extends false ' +
    'finally for function if implements import in instanceof interface let new null package private protected public return ' +
    'static super switch this throw true try typeof undefined var void while with yield async of get set NaN Infinity Math ' +
    'Number BigInt Object Array ArrayBuffer Float32Array Float64Array Int8Array Uint8Array Int32Array Uint32Array ' +
    'BigInt64Array globalThis f fround bind run states inputs outputs workspace'
  ).split(' '),
);

/** Unique JavaScript identifiers. */
export class Namer extends UniqueNames {
  constructor(taken: Iterable<string> = []) {
    super(
      identifierRule((name) => reserved.has(name)),
      taken,
    );
  }
}
