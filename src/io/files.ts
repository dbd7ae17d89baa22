// Files by path: the readers of src/io with the file's name in every error.

import { readFileSync } from 'node:fs';
import { UserError } from '../ir/errors.ts';
import type { FileArray } from './array.ts';
import { type CsvOptions, type CsvTable, readCsv } from './csv.ts';
import { readIdx } from './idx.ts';
import { readNpy, readNpz, writeNpy } from './npy.ts';
import { readSafetensors, type SafeTensor, type Safetensors, writeSafetensors } from './safetensors.ts';
import { writeAside } from './write-aside.ts';

function bytesOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export const readIdxFile = (path: string): FileArray => readIdx(bytesOf(path), path);
export const readCsvFile = (path: string, options: CsvOptions = {}): CsvTable => readCsv(bytesOf(path), options, path);
export const readNpyFile = (path: string): FileArray => readNpy(bytesOf(path), path);
export const readNpzFile = (path: string): Map<string, FileArray> => readNpz(bytesOf(path), path);
export const readSafetensorsFile = (path: string): Safetensors => readSafetensors(bytesOf(path), path);

/** Replaces the file whole, or leaves it as it was. */
export function writeNpyFile(path: string, array: FileArray): void {
  writeAside(path, writeNpy(array));
}

/** Replaces the file whole, or leaves it as it was. */
export function writeSafetensorsFile(
  path: string,
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeAside(path, writeSafetensors(tensors, metadata));
}
