// The package's version.

import { readFileSync } from 'node:fs';

/** package.json lies above this module, whether it is source or built. */
function findVersion(): string {
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
      if (name === 'ashlar') return version;
    } catch {
      if (folder.pathname === '/') throw new Error('package.json of ashlar is not above its own modules');
    }
  }
}

export const version: string = findVersion();
