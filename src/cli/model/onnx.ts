// Models in ONNX files.

import { readOnnxFile } from '../../onnx/file.ts';
import type { OnnxDefinition } from '../../onnx/import.ts';

export interface OnnxFileOptions {
  /** Sizes of dimensions that the file only names. */
  readonly dim?: ReadonlyMap<string, number>;
  readonly name: string;
}

/** Throws the reader's errors, with the file's name before what they say. */
export async function loadOnnx(path: string, { dim = new Map(), name }: OnnxFileOptions): Promise<OnnxDefinition> {
  try {
    return await readOnnxFile(path, { name, dimensions: Object.fromEntries(dim) });
  } catch (error) {
    if (error instanceof Error && !error.message.startsWith(path)) error.message = `${path}: ${error.message}`;
    throw error;
  }
}
