// C identifiers from users' names: valid, unique within a scope, and unable to say anything but themselves.

const reserved: ReadonlySet<string> = new Set(
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register ' +
    'restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false ' +
    'asm typeof main NULL NAN INFINITY errno threads workspace states inputs outputs size_t ptrdiff_t int8_t uint8_t ' +
    'int16_t uint16_t int32_t uint32_t int64_t uint64_t class new delete this template operator namespace private public ' +
    'protected try catch throw virtual friend using and or not xor floor ceil rint round fabs sqrt exp expm1 log log1p sin cos ' +
    'tan asin acos atan sinh cosh tanh asinh acosh atanh erf fmod pow atan2 memcpy y0 y1 yn j0 j1 jn gamma abs div'
  ).split(' '),
);

/** Letters, digits and underscores, not starting with a digit or `ash_`, at most 48 characters. */
export function toIdentifier(name: string): string {
  const cleaned = name.replace(/[^A-Za-z0-9_]+/g, '_').slice(0, 48);
  const started = /^[A-Za-z]/.test(cleaned) ? cleaned : `v${cleaned}`;
  return reserved.has(started) || reserved.has(started.replace(/f$/, '')) || started.startsWith('ash_')
    ? `${started}_`
    : started;
}

/** Hands out unique identifiers; the same object always gets the same one. */
export class Namer {
  readonly names = new Map<object, string>();
  readonly taken: Set<string>;
  /** The next number to try for a name given before. */
  readonly numbers = new Map<string, number>();
  constructor(taken: Iterable<string> = []) {
    this.taken = new Set(taken);
  }

  nameOf(key: object, wanted: string): string {
    const known = this.names.get(key);
    if (known !== undefined) return known;
    const name = this.fresh(wanted);
    this.names.set(key, name);
    return name;
  }

  fresh(wanted: string): string {
    const base = toIdentifier(wanted);
    let name = base;
    let number = this.numbers.get(base) ?? 2;
    while (this.taken.has(name)) name = `${base}_${number++}`;
    this.numbers.set(base, number);
    this.taken.add(name);
    return name;
  }
}

/** Text that is safe inside a C comment, on one line: no control characters, comment marks, continuations or trigraphs. */
export function toComment(text: string): string {
  const printable = Array.from(text, (character) =>
    character < ' ' || character === '\u007f' || character === '\\' ? ' ' : character,
  );
  return printable.join('').replace(/\*\//g, '* /').replace(/\/\*/g, '/ *').replace(/\?\?/g, '? ?');
}
