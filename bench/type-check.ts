// How long the TypeScript compiler takes over all examples with their shape types.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { progress, table } from './measure.ts';

const project = fileURLToPath(new URL('..', import.meta.url));

export function typeCheck(): string {
  progress('type-checking the examples');
  const config = ts.readConfigFile(join(project, 'tsconfig.json'), ts.sys.readFile).config as object;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, project);
  const examples = readdirSync(join(project, 'examples'))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(project, 'examples', name));
  const started = performance.now();
  const program = ts.createProgram(examples, {
    ...options,
    noEmit: true,
    incremental: false,
    tsBuildInfoFile: undefined,
  });
  const diagnostics = ts.getPreEmitDiagnostics(program);
  const seconds = (performance.now() - started) / 1000;
  if (diagnostics.length > 0) throw new Error(ts.formatDiagnostics(diagnostics, ts.createCompilerHost(options)));
  const row = [examples.length, program.getSourceFiles().length, program.getTypeCount(), seconds.toFixed(2)];
  return ['## Type-checking all examples', '', table(['examples', 'files', 'types', 'seconds'], [row])].join('\n');
}
