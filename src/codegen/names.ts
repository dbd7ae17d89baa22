// Identifiers of generated code from users' names: valid, unique within a scope, and unable to say anything but themselves.

/** Makes an identifier of any text: valid in the language, and none of its reserved words. */
export type IdentifierRule = (name: string) => string;

/** Letters, digits and underscores, not starting with a digit or `ash_`, at most 48 characters. */
export function identifierRule(isReserved: (name: string) => boolean): IdentifierRule {
  return (name) => {
    const cleaned = name.replace(/[^A-Za-z0-9_]+/g, '_').slice(0, 48);
    const started = /^[A-Za-z]/.test(cleaned) ? cleaned : `v${cleaned}`;
    return isReserved(started) || started.startsWith('ash_') ? `${started}_` : started;
  };
}

/** Hands out unique identifiers; the same object always gets the same one. */
export class UniqueNames {
  readonly names = new Map<object, string>();
  readonly taken: Set<string>;
  /** The next number to try for a name given before. */
  readonly numbers = new Map<string, number>();
  readonly toIdentifier: IdentifierRule;
  constructor(toIdentifier: IdentifierRule, taken: Iterable<string> = []) {
    this.toIdentifier = toIdentifier;
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
    const base = this.toIdentifier(wanted);
    let name = base;
    let number = this.numbers.get(base) ?? 2;
    while (this.taken.has(name)) name = `${base}_${number++}`;
    this.numbers.set(base, number);
    this.taken.add(name);
    return name;
  }
}

/**
 * Text that is safe inside a comment, on one line: no control characters, those of direction included, comment marks,
 * continuations or trigraphs.
 */
export function toComment(text: string): string {
  const printable = Array.from(text, (character) =>
    character < ' ' || /[\u007f\u0085\u200e\u200f\u2028-\u202e\u2066-\u2069\\]/.test(character) ? ' ' : character,
  );
  return printable.join('').replace(/\*\//g, '* /').replace(/\/\*/g, '/ *').replace(/\?\?/g, '? ?');
}

/** What a kernel computes and the first of the user's lines that made it: one line for a comment above its code. */
export function describeKernel({
  summary,
  sources,
}: {
  summary: string;
  sources: readonly { file: string; line: number }[];
}): string {
  const shown = sources.slice(0, 4).map(({ file, line }) => (line === 0 ? file : `${file.split('/').at(-1)}:${line}`));
  const more = sources.length > 4 ? ` and ${sources.length - 4} more` : '';
  const where = shown.length === 0 ? '' : ` — ${shown.join(', ')}${more}`;
  const short = summary.length > 100 ? `${summary.slice(0, 97)}...` : summary;
  return toComment(`${short}${where}`);
}
