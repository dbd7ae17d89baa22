// What the TypeScript compiler finds in modules. Ashlar's types carry a sentence where shapes do not fit; it is taken out of the
// compiler's message, which shows it inside a type.

import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type TypeScript from 'typescript';
import { Failure } from '../failure.ts';
import type { OwnModules } from '../model/module.ts';
import type { ModelDiagnostic } from './diagnostic.ts';

type Compiler = typeof TypeScript;

/** The compiler, which takes half a second to load. */
export const loadCompiler = async (): Promise<Compiler> => (await import('typescript')).default;

/** Errors of the modules and of what they import, packages aside, in order of file and place. */
export function typeDiagnostics(ts: Compiler, paths: readonly string[], own: OwnModules): ModelDiagnostic[] {
  const files = paths.map((path) => resolve(path));
  const options = compilerOptions(ts, files[0]!, own);
  const program = ts.createProgram(files, options);
  const ours = dirname(fileURLToPath(Object.values(own)[0]!));
  const checked = program
    .getSourceFiles()
    .filter(
      (file) =>
        !file.isDeclarationFile &&
        !program.isSourceFileFromExternalLibrary(file) &&
        !file.fileName.startsWith(`${ours}/`),
    );
  return checked
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .filter(({ category }) => category === ts.DiagnosticCategory.Error)
    .flatMap((diagnostic) => (diagnostic.file === undefined ? [] : [asDiagnostic(ts, diagnostic, diagnostic.file)]));
}

/** The options of the model's tsconfig.json; without one, those under which shapes are types. */
function compilerOptions(ts: Compiler, model: string, own: OwnModules): TypeScript.CompilerOptions {
  // Nothing is written, and what is merely untidy is not what is looked for.
  const never = {
    noEmit: true,
    incremental: false,
    tsBuildInfoFile: undefined,
    composite: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  } as const;
  const config = ts.findConfigFile(dirname(model), ts.sys.fileExists);
  const options = config === undefined ? defaultOptions(ts) : optionsOf(ts, config);
  const found = ts.resolveModuleName('ashlar', model, options, ts.sys).resolvedModule;
  return {
    ...options,
    ...never,
    ...(found === undefined ? { paths: { ...options.paths, ...ownTypings(ts, own) } } : {}),
  };
}

function optionsOf(ts: Compiler, config: string): TypeScript.CompilerOptions {
  const { config: read, error } = ts.readConfigFile(config, ts.sys.readFile);
  if (error !== undefined) throw new Failure(`${config}: ${ts.flattenDiagnosticMessageText(error.messageText, '\n')}`);
  return ts.parseJsonConfigFileContent(read, ts.sys, dirname(config)).options;
}

const defaultOptions = (ts: Compiler): TypeScript.CompilerOptions => ({
  strict: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  allowImportingTsExtensions: true,
});

/** The typings of this very package, for a model that lies where no package of its own is found. */
const ownTypings = (ts: Compiler, own: OwnModules): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(own).map(([name, url]) => {
      const path = fileURLToPath(url);
      const typings = path.replace(/\.js$/, '.d.ts');
      return [name, [ts.sys.fileExists(typings) ? typings : path]];
    }),
  );

function asDiagnostic(ts: Compiler, diagnostic: TypeScript.Diagnostic, file: TypeScript.SourceFile): ModelDiagnostic {
  const { start = 0, length = 0, code, messageText } = diagnostic;
  const from = file.getLineAndCharacterOfPosition(start);
  const to = file.getLineAndCharacterOfPosition(start + length);
  const text = ts.flattenDiagnosticMessageText(messageText, '\n');
  const shape = shapeError(text);
  return {
    file: file.fileName,
    line: from.line + 1,
    column: from.character + 1,
    endLine: to.line + 1,
    endColumn: to.character + 1,
    code: shape === null ? `TS${code}` : 'shape',
    message: shape ?? text,
  };
}

/** The sentence of a ShapeError in a message, or null. */
function shapeError(text: string): string | null {
  const found = /ShapeError<"((?:[^"\\]|\\.)*)">/.exec(text);
  return found === null ? null : (JSON.parse(`"${found[1]}"`) as string);
}
