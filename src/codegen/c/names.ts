// C identifiers: none of the words that C, C++, the C library or the generated code itself use.

import { identifierRule, UniqueNames } from '../names.ts';

const reserved: ReadonlySet<string> = new Set(
  // C and C++.
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register ' +
    'restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false ' +
    'asm typeof typeof_unqual constexpr nullptr alignas alignof static_assert thread_local class new delete this template ' +
    'operator namespace private public protected try catch throw virtual friend using and and_eq or or_eq not not_eq xor ' +
    'xor_eq bitand bitor compl char8_t char16_t char32_t wchar_t concept requires consteval constinit const_cast ' +
    'static_cast dynamic_cast reinterpret_cast co_await co_return co_yield decltype explicit export mutable noexcept ' +
    'typeid typename import module final override ' +
    // Macros that some compilers and headers define, in small letters as well.
    'unix linux i386 near far small huge interface stdin stdout stderr errno assert complex imaginary noreturn offsetof ' +
    'isnan isinf isfinite isnormal signbit fpclassify setjmp ' +
    // Of the C library, of what the generated code includes, and its own.
    'main NULL NAN INFINITY worker share task threads workspace states inputs outputs weights size_t ptrdiff_t int8_t ' +
    'uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t floor ceil rint round fabs sqrt exp expm1 log log1p sin ' +
    'cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf fmod pow atan2 memcpy y0 y1 yn j0 j1 jn gamma abs div'
  ).split(' '),
);

/** Names in capitals are macros by custom: EOF, SIZE_MAX and I are. One letter but I is nobody's. */
const mayBeMacro = (name: string): boolean => name === 'I' || /^[A-Z][A-Z0-9_]+$/.test(name);

export const toIdentifier = identifierRule(
  (name) => reserved.has(name) || reserved.has(name.replace(/f$/, '')) || mayBeMacro(name),
);

/** Names of headers, libraries, CMake's targets and a folder's other files, which ours would hide or be hidden by. */
const fileNames: ReadonlySet<string> = new Set(
  (
    'assert complex ctype errno fenv float inttypes iso646 limits locale math omp pthread sched setjmp signal stdalign ' +
    'stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar unistd ' +
    'wchar wctype main readme cmakelists con prn aux nul m c dl rt gcc gomp test all install help clean package depend'
  ).split(' '),
);

/** An artifact's name: what its files are called and its functions begin with. */
export function artifactName(wanted: string): string {
  const name = toIdentifier(wanted);
  return fileNames.has(name.toLowerCase()) ? `${name}_` : name;
}

/** Unique C identifiers. */
export class Namer extends UniqueNames {
  constructor(taken: Iterable<string> = []) {
    super(toIdentifier, taken);
  }
}
