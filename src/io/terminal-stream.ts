// Where progress is shown. Not Node's own type, so that declarations can be read without Node's.

/** A stream that may be a terminal, such as process.stderr. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}
