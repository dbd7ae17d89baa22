// Files by path: the readers of src/io with the file's name in every error.

import { readFileSync } from 'node:fs';
import { UserError } from '../ir/errors.ts';
import type { FileArray } from './array.ts';
import { type CsvOptions, type CsvTable, readCsv } from './csv.ts';
import { readIdx } from './idx.ts';
import { readNpy, readNpz, writeNpy } from './npy.ts';
import { readSafetensors, type SafeTensor, type Safetensors, writeSafetensors } from './safetensors.ts';
import { type FileContent, writeAside } from './write-aside.ts';

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

function writeBytes(path: string, bytes: FileContent): void {
  try {
    writeAside(path, bytes);
  } catch (error) {
    throw new UserError(`${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Replaces the file whole, or leaves it as it was. Throws UserError where it cannot be written. */
export function writeNpyFile(path: string, array: FileArray): void {
  writeBytes(path, writeNpy(array));
}

/** Replaces the file whole, or leaves it as it was. Throws UserError where it cannot be written. */
export function writeSafetensorsFile(
  path: string,
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeBytes(path, writeSafetensors(tensors, metadata));
}
