// Readers and writers of bytes: nothing here touches a file system.

export type { FileArray, FileDType, FileElements } from './array.ts';
export { type CsvOptions, type CsvTable, readCsv } from './csv.ts';
export { readIdx } from './idx.ts';
export { readNpy, readNpz, writeNpy, writeNpz } from './npy.ts';
export { readSafetensors, type SafeTensor, type Safetensors, writeSafetensors } from './safetensors.ts';
