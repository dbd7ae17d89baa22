// The package `webgpu` where it is not installed: Dawn's binding from the file that $DAWN_NODE names.

import { createRequire } from 'node:module';

const dawn = createRequire(import.meta.url)(process.env.DAWN_NODE!) as typeof import('webgpu');

export const { create, globals } = dawn;
