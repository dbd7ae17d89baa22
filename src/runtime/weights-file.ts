// Weights from a file, one at a time.

import { SafetensorsFile } from '../io/safetensors-file.ts';
import { expectWeight, type Weights } from './weights.ts';

/** The tensors of a safetensors file. Throws UserError where the file cannot be read, lacks one or has it of another type. */
export function weightsOfFile(path: string): Weights {
  const file = new SafetensorsFile(path);
  return {
    freezes: true,
    elements(name, type, memory) {
      expectWeight(path, name, type, file.place(name));
      const array = memory();
      file.read(name, array);
      return array;
    },
    close: () => file.close(),
  };
}
