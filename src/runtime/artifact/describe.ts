// What manifests say of tensors and files, for artifacts of all targets.

import { createHash } from 'node:crypto';
import type { Manifest, ManifestFile, ManifestTensor } from '../../codegen/bindings/manifest.ts';
import type { RangeCheck } from '../../ir/program.ts';
import { bytesPerElement, type DType, sizeOf, type TensorType } from '../../ir/types.ts';
import { updatedStates } from '../../passes/bind-states.ts';
import { inlineCalls } from '../../passes/inline.ts';
import { isConstantBuffer } from '../../passes/inlining.ts';
import type { Definition } from '../definition.ts';

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

/** A manifest's field: bytes of what functions never change, by dtype: weights, constants and states that none of them updates. */
export function weightsByType(definitions: readonly Definition[]): Pick<Manifest, 'weights'> {
  const kept = new Set(definitions.flatMap(({ func }) => updatedStates(func)));
  const weights = new Map<unknown, TensorType>();
  for (const func of definitions.map((definition) => inlineCalls.run(definition.func))) {
    for (const { role, name, value } of func.parameters)
      if (role === 'weight' || (role === 'state' && !kept.has(name))) weights.set(name, value.type);
    for (const node of func.nodes) if (isConstantBuffer(node)) weights.set(node, node.results[0]!.type);
  }
  const bytes: Partial<Record<DType, number>> = {};
  for (const { dtype, shape } of weights.values())
    bytes[dtype] = (bytes[dtype] ?? 0) + sizeOf(shape) * bytesPerElement[dtype];
  return weights.size === 0 ? {} : { weights: bytes };
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
