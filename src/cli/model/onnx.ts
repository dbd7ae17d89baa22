// Models in ONNX files.

import type { FileArray, FileDType } from '../../io/array.ts';
import { readNpyFile } from '../../io/files.ts';
import type { ElementType } from '../../onnx/element-types.ts';
import { readOnnxFile } from '../../onnx/file.ts';
import type { OnnxPort } from '../../onnx/import.ts';
import type { Definition } from '../../runtime/definition.ts';
import { toCarrier } from '../element-types.ts';
import { harmless, note } from '../terminal.ts';

export interface OnnxFileOptions {
  /** Sizes of dimensions that the file only names. */
  readonly dim?: ReadonlyMap<string, number>;
  /** Shapes of inputs. */
  readonly shape?: ReadonlyMap<string, readonly number[]>;
  /** .npy files of inputs that become constants. */
  readonly constant?: ReadonlyMap<string, string>;
  readonly randomSeed?: number | string;
  readonly name: string;
}

/** A function and the element types that files of its inputs and outputs have, where no dtype is that type. */
export interface ModelDefinition extends Definition {
  readonly fileDTypes?: {
    readonly inputs: ReadonlyMap<string, FileDType>;
    readonly outputs: ReadonlyMap<string, FileDType>;
  };
}

/** Throws the reader's errors, with the file's name before what they say. */
export async function loadOnnx(path: string, options: OnnxFileOptions): Promise<ModelDefinition> {
  const { dim = new Map(), shape = new Map(), constant = new Map<string, string>(), randomSeed, name } = options;
  try {
    const constants = [...constant].map(([input, file]) => [input, elementsOf(readNpyFile(file))]);
    const { func, variables, inputs, outputs, assumed } = await readOnnxFile(path, {
      name,
      dimensions: Object.fromEntries(dim),
      shapes: Object.fromEntries(shape),
      constants: Object.fromEntries(constants),
      ...(randomSeed === undefined ? {} : { seed: randomSeed }),
    });
    if (assumed.length > 0)
      note(
        harmless(
          `${path}: ${assumed.join(', ')} taken as 1; ${assumed.map((each) => `--dim ${each}=SIZE`).join(' ')} says otherwise`,
        ),
      );
    return { func, variables, fileDTypes: { inputs: typesOf(inputs), outputs: typesOf(outputs) } };
  } catch (error) {
    if (error instanceof Error && !error.message.startsWith(path)) error.message = `${path}: ${error.message}`;
    throw error;
  }
}

/** Numbers of a file for the importer, which takes them as they are. */
const elementsOf = (array: FileArray): ArrayLike<number> | ArrayLike<bigint> =>
  toCarrier(array, array.dtype === 'f16' ? 'f32' : 'i64');

/** bfloat16 has no type in .npy files: its numbers are f32's. */
const fileDTypeOf: Readonly<Partial<Record<ElementType, FileDType>>> = {
  float16: 'f16',
  int16: 'i16',
  uint16: 'u16',
  uint64: 'u64',
};

const typesOf = (ports: readonly OnnxPort[]): Map<string, FileDType> =>
  new Map(ports.map(({ name, elementType, dtype }) => [name, fileDTypeOf[elementType] ?? dtype]));
