// Artifacts back in Node: a folder that exportC, exportWeb or exportJs wrote, as functions. An artifact is code: its hashes
// say that it is whole, not who made it.

import { loadC } from './c.ts';
import type { LoadedArtifact, LoadOptions } from './loaded.ts';
import { findManifest } from './manifest.ts';
import { loadJs, loadWeb } from './module.ts';

/**
 * Loads the artifact in a folder, or that of a manifest's path. C is compiled by the system's compiler, and cached; WGSL runs
 * on the GPU that `nodeGpu` finds. Throws UserError where a file is missing, cut off, or not the one that the manifest
 * names, or where the manifest is none; LimitationError where nothing here can run the target.
 */
export async function loadArtifact(place: string, options: LoadOptions = {}): Promise<LoadedArtifact> {
  const found = findManifest(place);
  if (found.manifest.target === 'c') return loadC(found, options);
  return found.manifest.target === 'js' ? loadJs(found) : loadWeb(found);
}
