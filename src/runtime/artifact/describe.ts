// What manifests say of tensors and files, for artifacts of all targets.

import { createHash } from 'node:crypto';
import type { ManifestFile, ManifestTensor } from '../../codegen/bindings/manifest.ts';
import type { RangeCheck } from '../../ir/program.ts';
import { bytesPerElement, sizeOf, type TensorType } from '../../ir/types.ts';

/** An input, output or state; `identifier` where code calls it otherwise. */
export function describeTensor(
  { name, type, identifier = name }: { readonly name: string; readonly type: TensorType; readonly identifier?: string },
  checks: readonly RangeCheck[] = [],
): ManifestTensor {
  const check = checks.find(({ input }) => input === name);
  return {
    name,
    identifier,
    dtype: type.dtype,
    shape: type.shape,
    layout: 'row-major',
    bytes: sizeOf(type.shape) * bytesPerElement[type.dtype],
    ...(check === undefined ? {} : { range: [check.lower, check.upper] as const }),
  };
}

export const sha256Of = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

export const describeFile = (path: string, content: string | Uint8Array): ManifestFile => ({
  path,
  bytes: Buffer.byteLength(content),
  sha256: sha256Of(content),
});

/** The hash of an artifact: of its files', in order. */
export const hashOfFiles = (files: readonly ManifestFile[]): string =>
  sha256Of(files.map(({ sha256 }) => sha256).join('\n'));
