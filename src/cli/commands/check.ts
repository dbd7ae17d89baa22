// `ashlar check`: the errors of models as compilers show theirs, without compiling or running anything.

import { existsSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { buildDiagnostic } from '../check/build.ts';
import { formatDiagnostic, type ModelDiagnostic, shortPath } from '../check/diagnostic.ts';
import { loadCompiler, typeDiagnostics } from '../check/types.ts';
import { Misuse } from '../failure.ts';
import { moduleExtensions } from '../model/module.ts';
import type { Context } from '../program.ts';
import { hasColours, print, printJson, styled } from '../terminal.ts';

export async function checkModels(
  paths: readonly string[],
  { json = false }: { readonly json?: boolean },
  { own, finish }: Context,
): Promise<void> {
  for (const path of paths) {
    if (!existsSync(path)) throw new Misuse(`${path} does not exist; check reads modules in TypeScript or JavaScript`);
    if (!moduleExtensions.includes(extname(path)))
      throw new Misuse(`${path}: check reads modules (${moduleExtensions.join(', ')})`);
  }
  const typed = paths.filter((path) => /ts$/.test(extname(path)));
  const diagnostics = typed.length === 0 ? [] : typeDiagnostics(await loadCompiler(), typed, own);
  for (const path of paths) {
    const thrown = await buildDiagnostic(path, own);
    if (thrown !== null && !diagnostics.some((other) => isSame(other, thrown))) diagnostics.push(thrown);
  }
  const ok = diagnostics.length === 0;
  if (json) printJson({ ok, diagnostics: diagnostics.map((found) => ({ ...found, file: shortPath(found.file) })) });
  else {
    for (const found of diagnostics) print(withContext(found));
    print(summary(paths.length, diagnostics.length));
  }
  finish(ok ? 0 : 1);
}

/** What the types refuse is thrown at the same line too. */
const isSame = (types: ModelDiagnostic, thrown: ModelDiagnostic): boolean =>
  types.file === thrown.file && types.line <= thrown.line && thrown.line <= types.endLine;

function summary(modules: number, errors: number): string {
  const checked = `${modules} module${modules === 1 ? '' : 's'}`;
  if (errors === 0) return styled(process.stdout, 'green', `${checked}: no errors`);
  return styled(process.stdout, 'red', `${checked}: ${errors} error${errors === 1 ? '' : 's'}`);
}

/** For a person the line itself, its place underlined; else only what other programs read. */
function withContext(found: ModelDiagnostic): string {
  const text = formatDiagnostic(found);
  if (!process.stdout.isTTY || found.line === 0) return text;
  const line = readFileSync(found.file, 'utf8').split('\n')[found.line - 1] ?? '';
  const marked = found.endLine === found.line ? found.endColumn - found.column : line.length - found.column + 1;
  const rest = /^\w*/.exec(line.slice(found.column - 1))![0].length;
  const mark = ' '.repeat(found.column - 1) + '~'.repeat(Math.max(1, marked, marked === 0 ? rest : 0));
  const number = String(found.line);
  const pad = ' '.repeat(number.length);
  return [
    text,
    `${number} | ${line.replaceAll('\t', ' ')}`,
    `${pad} | ${hasColours(process.stdout) ? styled(process.stdout, 'red', mark) : mark}`,
    '',
  ].join('\n');
}
