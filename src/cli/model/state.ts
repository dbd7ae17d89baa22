// Trained values of a model's variables, from a safetensors file: what `fit` keeps as a checkpoint, or any with their names.

import { existsSync } from 'node:fs';
import { allocate } from '../../runtime/arrays.ts';
import type { Definition } from '../../runtime/definition.ts';
import { weightsOfFile } from '../../runtime/weights-file.ts';
import { Misuse } from '../failure.ts';

/**
 * The definition with the file's tensors as first values of its variables, each read when it is needed. Throws Misuse where
 * there is no such file; a tensor that is missing or of another type is a UserError where it is read.
 */
export function withState<Model extends Definition>(definition: Model, file: string): Model {
  if (!existsSync(file)) throw new Misuse(`--state ${file} does not exist; a safetensors file is expected`);
  const weights = weightsOfFile(file);
  const variables = definition.variables.map(({ name, type }) => ({
    name,
    type,
    initial: (): ArrayLike<number> => {
      const elements = weights.elements(name, type, () => allocate(type));
      return elements instanceof BigInt64Array ? Float64Array.from(elements, Number) : elements;
    },
  }));
  return { ...definition, variables };
}
