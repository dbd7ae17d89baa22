// What is thrown while a module builds its graphs: the shapes and dtypes that types cannot know. No kernel is made or run.

import { resolve } from 'node:path';
import type { SourcePosition } from '../../ir/errors.ts';
import { loadModule, type OwnModules } from '../model/module.ts';
import type { ModelDiagnostic } from './diagnostic.ts';

/** The error of a module, if it throws one: a module that throws does not go on. */
export async function buildDiagnostic(path: string, own: OwnModules): Promise<ModelDiagnostic | null> {
  try {
    await loadModule(path, own);
    return null;
  } catch (error) {
    const { message } = error as Error;
    const { source } = error as { readonly source?: SourcePosition | null };
    const place = source ?? placeIn(message);
    const { line, column } = place ?? { line: 0, column: 0 };
    return {
      file: resolve(place?.file ?? path),
      line,
      column,
      endLine: line,
      endColumn: column,
      code: 'build',
      message: firstLine(message),
    };
  }
}

/** The message without the places below it. */
const firstLine = (message: string): string => message.split('\n  at ')[0]!;

/** The first place of a message: below it as `at file:line:column`, or before it as esbuild has it. */
function placeIn(message: string): SourcePosition | null {
  const found = /^ {2}at (.+):(\d+):(\d+)$/m.exec(message) ?? /^(.+?):(\d+):(\d+): /.exec(message);
  return found === null ? null : { file: found[1]!, line: Number(found[2]), column: Number(found[3]) };
}
