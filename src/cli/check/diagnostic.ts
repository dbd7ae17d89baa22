// An error in a model, as editors and compilers show errors.

import { relative } from 'node:path';

export interface ModelDiagnostic {
  /** As it is known to the file system. */
  readonly file: string;
  /** From 1; 0 where the file as a whole is wrong. */
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  /** `shape`: shapes that do not fit, by their types; `build`: thrown while the graph is built; else TypeScript's, as `TS2345`. */
  readonly code: string;
  readonly message: string;
}

/** `model.ts:7:5: error shape: cannot multiply …`, the file relative to where the command runs. */
export function formatDiagnostic({ file, line, column, code, message }: ModelDiagnostic): string {
  const place = line === 0 ? shortPath(file) : `${shortPath(file)}:${line}:${column}`;
  return `${place}: error ${code}: ${message}`;
}

export function shortPath(file: string): string {
  const short = relative(process.cwd(), file);
  return short.startsWith('..') ? file : short;
}
