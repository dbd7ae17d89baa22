// The packages of bench/package.json: they are no dependencies of the project, so they are looked up when a part needs
// them, and the part says how to install them where they are missing.

import { createRequire } from 'node:module';

const requireHere = createRequire(import.meta.url);

export const install = 'npm ci --ignore-scripts --prefix bench';

/** A package installed in bench/. Throws with the command that installs it. */
export function benchPackage<T>(name: string): T {
  try {
    return requireHere(name) as T;
  } catch (error) {
    throw new Error(`${name} cannot be loaded; ${install} installs it (${(error as Error).message.split('\n')[0]})`);
  }
}
