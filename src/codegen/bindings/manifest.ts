// The manifest of an artifact: what a program that never heard of Ashlar, and Ashlar's own loader, must know of its files.

import type { DType, Shape } from '../../ir/types.ts';

/** What `format` says, and the version of all that follows from it. */
export const manifestFormat = 'ashlar artifact';
export const manifestVersion = 1;

/** A buffer that a caller gives: row-major, little-endian, bool as bytes of 0 and 1. */
export interface ManifestTensor {
  /** As the user wrote it. */
  readonly name: string;
  /** Its name in the artifact's code. */
  readonly identifier: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly layout: 'row-major';
  readonly bytes: number;
  /** Least and largest element that an input of indices may have. */
  readonly range?: readonly [lower: number, upper: number];
}

export interface ManifestFile {
  /** A name in the manifest's folder. */
  readonly path: string;
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly sha256: string;
}

/** A function of an artifact; one that runs in C is all of it. */
export interface ManifestFunction {
  readonly name: string;
  readonly inputs: readonly ManifestTensor[];
  readonly outputs: readonly ManifestTensor[];
}

export interface Manifest {
  readonly format: typeof manifestFormat;
  readonly version: typeof manifestVersion;
  readonly target: 'c' | 'wgsl' | 'js';
  /** What files and public names begin with. */
  readonly name: string;
  readonly functions: readonly ManifestFunction[];
  /** What functions keep from call to call. */
  readonly states: readonly ManifestTensor[];
  /** Bytes of the weights by the dtype that they are stored in, before kernels have them packed; absent where there are none. */
  readonly weights?: Readonly<Partial<Record<DType, number>>>;
  /** C only: the memory that a run needs. */
  readonly workspace?: { readonly bytes: number; readonly alignment: number };
  /** C only: processors that the code has kernels for, of which it chooses where it runs. */
  readonly processors?: readonly string[];
  readonly files: {
    readonly code: ManifestFile;
    readonly header?: ManifestFile;
    /** Little-endian arrays, each at a multiple of `alignment` bytes; absent where they are in the code. `xxh64` is what C checks. */
    readonly weights?: ManifestFile & { readonly alignment: number; readonly xxh64?: string };
  };
  /** The SHA-256 of the files' hashes: equal for equal programs with equal weights, whatever machine made them. */
  readonly hash: string;
}

/** The manifest's text: a line for each thing that one would compare. */
export function printManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)
    // Lists of numbers, and the fields of one tensor or file, stand on a line.
    .replace(/\[\s+([-\d,\s]+?)\s+\]/g, (_all, list: string) => `[${list.replace(/,\s+/g, ', ')}]`)}\n`;
}
