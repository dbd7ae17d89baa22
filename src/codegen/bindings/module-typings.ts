// The typings of an exported ES module: every function with the arrays it takes and gives, their shapes in comments.

import { formatType } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import { arrayNames } from '../typed-arrays.ts';
import { type ModuleInterface, type ModuleValue, moduleFiles, pascalCase, property } from './module-interface.ts';

function fields(values: readonly ModuleValue[], optional = ''): string {
  if (values.length === 0) return '{}';
  const rows = values.map(
    ({ name, type }) => `    /** ${formatType(type)} */\n    ${property(name)}${optional}: ${arrayNames[type.dtype]};`,
  );
  return `{\n${rows.join('\n')}\n  }`;
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
  const elements = [...new Set(states.map(({ type }) => arrayNames[type.dtype]))].join(' | ') || 'never';
  const rows = states.map((state) => `   *   ${toComment(state.name)}: ${formatType(state.type)}`);
  return `// ${toComment(name)}: made by Ashlar. Arrays are row-major; bool is 0 or 1.

// Where a program has no types of these, they are what nobody knows anything of.
declare global {
${onDevice ? '  interface GPUDevice {}\n' : ''}  interface Response {}
  interface URL {}
}

export interface LoadOptions {
  /** Where ${moduleFiles(name, target).weights} is, or its bytes. Default: beside this module. */
  weights?: string | URL | Response | ArrayBuffer | Uint8Array;
  /** Told how many bytes of the weights have arrived. */
  onProgress?: (loaded: number, total: number) => void;
}

export interface ${typeName} {
${methods.join('\n')}
  /** What functions keep between calls${onDevice ? ', on the device' : ''}.${rows.length === 0 ? ' There is none.' : `\n${rows.join('\n')}\n  `} */
  readonly state: {
    names(): string[];
    get(name: string): ${answer(elements)};
    set(name: string, elements: ${elements}): void;
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
