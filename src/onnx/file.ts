// ONNX models by path: the file itself and, beside it, the files of external data.

import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { UserError } from '../ir/errors.ts';
import type { OnnxDefinition, OnnxOptions } from './import.ts';
import { shown } from './shown.ts';

/**
 * Reads a model by its path. Files of external data must lie in its folder, links followed. Throws UserError for what cannot be read,
 * and as `fromOnnx` does.
 */
export async function readOnnxFile(path: string, options: OnnxOptions = {}): Promise<OnnxDefinition> {
  const { fromOnnx } = await import('./import.ts');
  return fromOnnx(bytesOf(path), { externalData: beside(path), ...options });
}

/** Files in a model's folder, each read once. */
function beside(path: string): (location: string) => Uint8Array {
  const files = new Map<string, Uint8Array>();
  return (location) => {
    const found = files.get(location) ?? bytesOf(placeOf(path, location));
    files.set(location, found);
    return found;
  };
}

function placeOf(path: string, location: string): string {
  const folder = realpathSync(dirname(path));
  const file = join(folder, location);
  const place = realFile(file);
  if (!place.startsWith(folder.endsWith(sep) ? folder : folder + sep))
    throw new UserError(
      `external data in ${shown(location)}: a file in the model's folder expected, it lies in ${place}`,
    );
  return place;
}

function realFile(file: string): string {
  try {
    return realpathSync(file);
  } catch (error) {
    throw new UserError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function bytesOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
