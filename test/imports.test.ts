// The architecture as a test: imports go one way, never in a circle, and the core reaches nothing of Node.

import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Project, type SourceFile, SyntaxKind } from 'ts-morph';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const src = join(root, 'src');

/** What each folder of src/ may import besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  ir: [],
  autodiff: ['ir'],
  lang: ['ir', 'autodiff'],
  nn: ['ir', 'autodiff', 'lang'],
  passes: ['ir'],
  codegen: ['ir', 'passes'],
  io: ['ir'],
  runtime: ['ir', 'passes', 'codegen', 'io'],
  train: ['ir', 'io'],
  search: ['ir', 'io'],
  onnx: ['ir', 'lang', 'nn', 'io'],
  cli: ['ir', 'passes', 'codegen', 'io', 'onnx', 'runtime'],
};

/** Packages that need Node; the core must reach none of them. */
const nodePackages = ['koffi', 'cli-progress', 'csv-parse/sync', 'ts-morph', 'webgpu'];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function importsOf(file: SourceFile): Import[] {
  const from = relative(src, file.getFilePath());
  const target = (specifier: string): string =>
    specifier.startsWith('.') ? relative(src, join(dirname(file.getFilePath()), specifier)) : specifier;
  const declarations = [...file.getImportDeclarations(), ...file.getExportDeclarations()].flatMap((declaration) => {
    const specifier = declaration.getModuleSpecifierValue();
    return specifier === undefined ? [] : [{ from, to: target(specifier), typeOnly: declaration.isTypeOnly() }];
  });
  const dynamic = file.getDescendantsOfKind(SyntaxKind.ImportKeyword).flatMap((keyword) => {
    const call = keyword.getParentIfKind(SyntaxKind.CallExpression);
    const specifier = call?.getArguments()[0]?.asKind(SyntaxKind.StringLiteral)?.getLiteralValue();
    return specifier === undefined ? [] : [{ from, to: target(specifier), typeOnly: false }];
  });
  return [...declarations, ...dynamic];
}

function importsUnder(files: readonly { readonly path: string; readonly text: string }[]): Import[] {
  const project = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true });
  return files.flatMap(({ path, text }) => importsOf(project.createSourceFile(join(src, path), text)));
}

function importsOfProject(): Import[] {
  const project = new Project({ skipAddingFilesFromTsConfig: true, skipFileDependencyResolution: true });
  return project.addSourceFilesAtPaths(join(src, '**/*.ts')).flatMap(importsOf);
}

const isEntry = (path: string): boolean => !path.includes('/');
const isPackage = (path: string): boolean => !path.endsWith('.ts');
const folderOf = (path: string): string => path.split('/')[0]!;

/** Imports against the direction of the architecture. */
function violations(imports: readonly Import[]): string[] {
  return imports
    .filter(({ to }) => !isPackage(to))
    .filter(({ from, to }) => {
      if (isEntry(from)) return false;
      if (isEntry(to)) return true;
      return folderOf(from) !== folderOf(to) && !mayImport[folderOf(from)]?.includes(folderOf(to));
    })
    .map(({ from, to }) => `${from} imports ${to}`);
}

/** The files of the first circle found among the imports that remain at run time, or null. */
function circle(imports: readonly Import[]): string[] | null {
  const next = new Map<string, string[]>();
  for (const { from, to, typeOnly } of imports) {
    if (!typeOnly && !isPackage(to)) next.set(from, [...(next.get(from) ?? []), to]);
  }
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (finished.has(file)) return null;
    for (const target of next.get(file) ?? []) {
      const found = visit(target, [...path, file]);
      if (found !== null) return found;
    }
    finished.add(file);
    return null;
  };
  for (const file of next.keys()) {
    const found = visit(file, []);
    if (found !== null) return found;
  }
  return null;
}

/** Imports of Node that `entry` reaches at run time, each with the chain of files that leads there. */
function nodeImportsFrom(entry: string, imports: readonly Import[]): string[] {
  const isNode = (to: string): boolean =>
    to.startsWith('node:') || builtinModules.includes(to) || nodePackages.includes(to);
  const chains = new Map<string, string>([[entry, entry]]);
  const found: string[] = [];
  for (const [file, chain] of chains) {
    for (const { from, to, typeOnly } of imports) {
      if (from !== file || typeOnly) continue;
      if (isNode(to)) found.push(`${chain} → ${to}`);
      else if (!isPackage(to) && !chains.has(to)) chains.set(to, `${chain} → ${to}`);
    }
  }
  return found;
}

describe('the rules themselves', () => {
  it('an import against the direction is found', () => {
    const imports = importsUnder([
      { path: 'ir/graph.ts', text: "import { fuse } from '../passes/fuse.ts';" },
      { path: 'passes/fuse.ts', text: "import { x } from '../ir/graph.ts'; export * from '../index.ts';" },
    ]);
    expect(violations(imports)).toEqual(['ir/graph.ts imports passes/fuse.ts', 'passes/fuse.ts imports index.ts']);
  });

  it('a circle is found, through re-exports and dynamic imports too; type imports make none', () => {
    const files = [
      { path: 'ir/a.ts', text: "export { b } from './b.ts';" },
      { path: 'ir/b.ts', text: "export const b = () => import('./a.ts');" },
    ];
    expect(circle(importsUnder(files))).toEqual(['ir/a.ts', 'ir/b.ts', 'ir/a.ts']);
    const types = [files[0]!, { path: 'ir/b.ts', text: "import type { A } from './a.ts'; export const b = 1;" }];
    expect(circle(importsUnder(types))).toBeNull();
  });

  it('an import of Node is found through other files', () => {
    const imports = importsUnder([
      { path: 'index.ts', text: "export * from './io/npy.ts';" },
      { path: 'io/npy.ts', text: "import { readFileSync } from 'fs'; import type { X } from 'koffi';" },
    ]);
    expect(nodeImportsFrom('index.ts', imports)).toEqual(['index.ts → io/npy.ts → fs']);
  });
});

describe('the source tree', () => {
  const imports = importsOfProject();

  it('every folder of src/ has its place in the import direction', () => {
    const folders = new Set(imports.filter(({ from }) => !isEntry(from)).map(({ from }) => folderOf(from)));
    expect([...folders].filter((folder) => !(folder in mayImport))).toEqual([]);
  });

  it('imports go one way', () => expect(violations(imports)).toEqual([]));

  it('no imports go in a circle', () => expect(circle(imports)).toBeNull());

  it('the core imports nothing of Node', () => {
    expect(imports.some(({ from }) => from === 'index.ts')).toBe(true);
    expect(nodeImportsFrom('index.ts', imports)).toEqual([]);
  });
});
