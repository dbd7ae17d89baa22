// `ashlar inspect` of an artifact: what its manifest says.

import type { Manifest, ManifestFile, ManifestTensor } from '../../codegen/bindings/manifest.ts';
import { findManifest } from '../../runtime/artifact/manifest.ts';
import { formatBytes, harmless, print, printJson, table } from '../terminal.ts';

/** Throws UserError for a folder without a manifest that can be believed. */
export function inspectArtifact(path: string, json: boolean): void {
  const { manifest } = findManifest(path);
  if (json) printJson(manifest);
  else for (const line of describe(manifest)) print(line);
}

const spellWeights = (weights: NonNullable<Manifest['weights']>): string =>
  Object.entries(weights)
    .map(([dtype, bytes]) => `${formatBytes(bytes)} of ${dtype}`)
    .join(', ');

function describe({
  name,
  target,
  functions,
  states,
  weights,
  workspace,
  processors,
  files,
  hash,
}: Manifest): string[] {
  const spell = (tensors: readonly ManifestTensor[]): string =>
    tensors.map((tensor) => `${tensor.name}: ${tensor.dtype}[${tensor.shape}]`).join(', ') || 'none';
  const rows = (Object.values(files) as ManifestFile[]).map((file) => [
    file.path,
    formatBytes(file.bytes),
    file.sha256,
  ]);
  const lines = [
    `${name}, an artifact of target ${target}${processors === undefined ? '' : ` for ${processors.join(', ')}`}`,
    ...functions.map((each) => `  ${each.name}  (${spell(each.inputs)}) → ${spell(each.outputs)}`),
    ...(states.length === 0 ? [] : [`  states  ${spell(states)}`]),
    ...(weights === undefined ? [] : [`  weights  ${spellWeights(weights)}`]),
    ...(workspace === undefined ? [] : [`  workspace  ${formatBytes(workspace.bytes)}`]),
    '',
  ];
  return [
    ...lines.map(harmless),
    table([{ title: 'file' }, { title: 'size', align: 'right' }, { title: 'SHA-256' }], rows),
    '',
    `hash ${hash}`,
  ];
}
