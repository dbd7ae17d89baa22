// A typed Node module over the shared library of an exported program.

import type { InterfaceDeclaration, SourceFile } from 'ts-morph';
import { formatType } from '../../ir/types.ts';
import type { ArtifactInterface, Member } from '../c/artifact-header.ts';
import { toComment } from '../names.ts';
import { rowMajor, rowMajorOf } from '../typed-arrays.ts';
import { pascalCase, property } from './module-interface.ts';
import { nodeRunner } from './node-runner.ts';

/** NAME.mjs: data beside the runner. It needs the package koffi and the compiled library. */
export function printNodeModule({ name, title, inputs, outputs, states, weights }: ArtifactInterface): string {
  const rows = (list: readonly Member[]): string =>
    JSON.stringify(list.map(({ buffer: { name: given, type } }) => [given, type.dtype, type.shape]));
  return [
    `/* ${toComment(title)}: made by Ashlar. Over the shared library of ${name}.c; needs Node and the package koffi. */`,
    "import koffi from 'koffi';\nimport { existsSync, readFileSync } from 'node:fs';\nimport { fileURLToPath } from 'node:url';\n",
    `const name = '${name}';`,
    `const weightBytes = ${weights === null ? 0 : weights.layout.bytes};`,
    `const inputs = ${rows(inputs)};`,
    `const outputs = ${rows(outputs)};`,
    `const states = ${rows(states)};`,
    `const named = (results) => ({ ${outputs.map(({ buffer }, i) => `[${JSON.stringify(buffer.name)}]: results[${i}]`).join(', ')} });\n`,
    nodeRunner,
  ].join('\n');
}

/** NAME.d.ts: every input, output and state with its array and its shape. */
export async function printNodeTypings(parts: ArtifactInterface): Promise<string> {
  // The TypeScript compiler is large: only who writes typings loads it.
  const { IndentationText, NewLineKind, Project } = await import('ts-morph');
  const project = new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    manipulationSettings: { indentationText: IndentationText.TwoSpaces, newLineKind: NewLineKind.LineFeed },
  });
  const file = project.createSourceFile('typings.d.ts');
  const typeName = pascalCase(parts.name);
  file.addTypeAlias({
    name: rowMajor.name,
    isExported: true,
    typeParameters: [rowMajor.elements, { name: rowMajor.shape, constraint: rowMajor.shapeIs }],
    type: rowMajor.type,
    docs: [rowMajor.doc],
  });
  const lists = [
    ['Inputs', parts.inputs],
    ['Outputs', parts.outputs],
    ['States', parts.states],
  ] as const;
  for (const [kind, members] of lists) addTensors(file, `${typeName}${kind}`, members);
  addOptions(file, typeName, parts);
  addProgram(file, typeName);
  file.addFunction({
    name: 'load',
    isExported: true,
    parameters: [{ name: 'options', type: `${typeName}Options`, hasQuestionToken: true }],
    returnType: typeName,
    docs: [
      'Loads the library and binds the weights. Throws Error where there is no library, RangeError for other weights.',
    ],
  });
  return `// ${toComment(parts.title)}: made by Ashlar. Arrays are row-major; bool is 0 or 1.\n\n${file.getFullText()}`;
}

function addTensors(file: SourceFile, name: string, members: readonly Member[]): InterfaceDeclaration {
  return file.addInterface({
    name,
    isExported: true,
    properties: members.map(({ buffer: { name: given, type } }) => ({
      name: property(given),
      isReadonly: true,
      type: rowMajorOf(type),
      docs: [formatType(type)],
    })),
  });
}

function addOptions(file: SourceFile, typeName: string, { name, weights }: ArtifactInterface): void {
  file.addInterface({
    name: `${typeName}Options`,
    isExported: true,
    properties: [
      {
        name: 'library',
        type: 'string',
        docs: [`The path of the shared library of ${name}.c. Default: beside this module, or in build.`],
      },
      ...(weights === null
        ? []
        : [
            {
              name: 'weights',
              type: 'string | URL | Uint8Array',
              docs: [`Where ${name}.weights is, or its bytes. Default: beside this module.`],
            },
          ]),
      { name: 'threads', type: 'number', docs: ['Threads that a run may use. Default: 1.'] },
    ].map((option) => ({ ...option, hasQuestionToken: true })),
  });
}

function addProgram(file: SourceFile, typeName: string): void {
  const of = (kind: string): string => `${typeName}${kind}`;
  const program = file.addInterface({ name: typeName, isExported: true });
  program.addMethod({
    name: 'run',
    parameters: [
      { name: 'inputs', type: of('Inputs') },
      { name: 'outputs', type: `Partial<${of('Outputs')}>`, hasQuestionToken: true },
    ],
    returnType: of('Outputs'),
    docs: [
      'Runs the program. Outputs are new arrays, or those given. Throws TypeError for an array of another type or length, RangeError for an index out of its range or arrays that overlap.',
    ],
  });
  program.addProperty({
    name: 'state',
    isReadonly: true,
    type: `{
  names(): (keyof ${of('States')})[];
  get<Name extends keyof ${of('States')}>(name: Name): ${of('States')}[Name];
  set<Name extends keyof ${of('States')}>(name: Name, elements: ${of('States')}[Name]): void;
}`,
    docs: ['What the program keeps between runs.'],
  });
}
