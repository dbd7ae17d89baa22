// The typings of an exported ES module: every function with the arrays it takes and gives, their shapes in the types.

import { formatType } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import { rowMajor, rowMajorOf } from '../typed-arrays.ts';
import { type ModuleInterface, type ModuleValue, moduleFiles, pascalCase, property } from './module-interface.ts';

function fields(values: readonly ModuleValue[], optional = '', margin = '  '): string {
  if (values.length === 0) return '{}';
  const rows = values.map(
    ({ name, type }) =>
      `${margin}  /** ${formatType(type)} */\n${margin}  ${property(name)}${optional}: ${rowMajorOf(type)};`,
  );
  return `{\n${rows.join('\n')}\n${margin}}`;
}

/** Reads under strict settings with the types of a page, of Node, or of neither. */
export function printModuleTypings(parts: ModuleInterface): string {
  const { name, target, functions, states } = parts;
  const onDevice = target === 'wgsl';
  const typeName = pascalCase(name);
  const answer = (type: string): string => (onDevice ? `Promise<${type}>` : type);
  const methods = Object.entries(functions).map(([key, { inputs, outputs }]) => {
    const into = onDevice ? '' : `, outputs?: ${fields(outputs, '?')}`;
    return `  ${property(key)}(inputs: ${fields(inputs)}${into}): ${answer(fields(outputs))};`;
  });
  return `// ${toComment(name)}: made by Ashlar. Arrays are row-major; bool is 0 or 1.

// Where a program has no types of these, they are what nobody knows anything of.
declare global {
${onDevice ? '  interface GPUDevice {}\n' : ''}  interface Response {}
  interface URL {}
}

/** ${rowMajor.doc} */
export type ${rowMajor.name}<${rowMajor.elements}, ${rowMajor.shape} extends ${rowMajor.shapeIs}> = ${rowMajor.type};

export interface LoadOptions {
  /** Where ${moduleFiles(name, target).weights} is, or its bytes. Default: beside this module. */
  weights?: string | URL | Response | ArrayBuffer | Uint8Array;
  /** Told how many bytes of the weights have arrived. */
  onProgress?: (loaded: number, total: number) => void;
}

/** What functions keep between calls${onDevice ? ', on the device' : ''}. */
export interface ${typeName}States ${fields(states, '', '')}

export interface ${typeName} {
${methods.join('\n')}
  readonly state: {
    names(): (keyof ${typeName}States)[];
    get<Name extends keyof ${typeName}States>(name: Name): ${answer(`${typeName}States[Name]`)};
    set<Name extends keyof ${typeName}States>(name: Name, elements: ${typeName}States[Name]): void;
  };${onDevice ? '\n  /** Frees the memory on the device. */\n  destroy(): void;' : ''}
}

${onDevice ? loadOnDevice : load}${typeName}>;
`;
}

const loadOnDevice = `/**
 * Fetches the weights and makes the functions ready on a device. Rejects with RangeError where a limit of the device is too
 * small, its memory is full, or the weights are others; functions reject with TypeError for an array of another type or
 * length, RangeError for an index out of its range, and Error once the device is lost.
 */
export function load(device: GPUDevice, options?: LoadOptions): Promise<`;

const load = `/**
 * Reads the weights and makes the functions ready. Rejects with RangeError where the weights are others; functions throw
 * TypeError for an array of another type or length, RangeError for an index out of its range.
 */
export function load(options?: LoadOptions): Promise<`;
