// C identifiers: none of the words that C, C++, the C library or the generated code itself use.

import { identifierRule, UniqueNames } from '../names.ts';

const reserved: ReadonlySet<string> = new Set(
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register ' +
    'restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false ' +
    'asm typeof main NULL NAN INFINITY errno worker share task threads workspace states inputs outputs size_t ptrdiff_t int8_t uint8_t ' +
    'int16_t uint16_t int32_t uint32_t int64_t uint64_t class new delete this template operator namespace private public ' +
    'protected try catch throw virtual friend using and or not xor floor ceil rint round fabs sqrt exp expm1 log log1p sin cos ' +
    'tan asin acos atan sinh cosh tanh asinh acosh atanh erf fmod pow atan2 memcpy y0 y1 yn j0 j1 jn gamma abs div'
  ).split(' '),
);

export const toIdentifier = identifierRule((name) => reserved.has(name) || reserved.has(name.replace(/f$/, '')));

/** Unique C identifiers. */
export class Namer extends UniqueNames {
  constructor(taken: Iterable<string> = []) {
    super(toIdentifier, taken);
  }
}
