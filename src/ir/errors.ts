// The three classes of error. A UserError is the model's or the caller's mistake and says how to mend it; a
// LimitationError is something Ashlar does not do on this target; an InternalError is a bug of ours.

/** Where in the user's TypeScript a value was made. Lines and columns count from 1; line 0 is no line: `file` names it all. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export function formatSource(source: SourcePosition | null): string {
  if (source === null) return '';
  return source.line === 0 ? source.file : `${source.file}:${source.line}:${source.column}`;
}

/** A mistake in the model, the input or a file: the message names the thing, the expected, the given and the way out. */
export class UserError extends Error {
  readonly source: SourcePosition | null;
  constructor(message: string, source: SourcePosition | null = null) {
    super(source === null ? message : `${message}\n  at ${formatSource(source)}`);
    this.name = 'UserError';
    this.source = source;
  }
}

/** Something correct that Ashlar or a target cannot do. */
export class LimitationError extends Error {
  readonly source: SourcePosition | null;
  constructor(message: string, source: SourcePosition | null = null) {
    super(source === null ? message : `${message}\n  at ${formatSource(source)}`);
    this.name = 'LimitationError';
    this.source = source;
  }
}

/** A broken invariant: always a bug in Ashlar. */
export class InternalError extends Error {
  constructor(message: string) {
    super(`internal error, please report: ${message}`);
    this.name = 'InternalError';
  }
}
