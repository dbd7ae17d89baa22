// Weights from a file, one at a time.

import { SafetensorsFile } from '../io/safetensors-file.ts';
import { UserError } from '../ir/errors.ts';
import { formatType, sameType } from '../ir/types.ts';
import type { Weights } from './weights.ts';

/** The tensors of a safetensors file. Throws UserError where the file cannot be read, lacks one or has it of another type. */
export function weightsOfFile(path: string): Weights {
  const file = new SafetensorsFile(path);
  return {
    freezes: true,
    elements(name, type, memory) {
      const place = file.place(name);
      const wanted = `${JSON.stringify(name)}: ${formatType(type)}`;
      if (place === undefined) throw new UserError(`${path} has no tensor ${wanted} expected`);
      const { dtype, shape } = place;
      if (dtype !== type.dtype || !sameType(type, { dtype: type.dtype, shape }))
        throw new UserError(`${path}: tensor ${wanted} expected, ${dtype}[${shape}] found`);
      const array = memory();
      file.read(name, array);
      return array;
    },
    close: () => file.close(),
  };
}
