// What options may choose from.

export const targets = ['c', 'wgsl', 'js'] as const;
export const stages = ['summary', 'graph', 'optimized', 'kernels', 'program', 'c', 'wgsl', 'js'] as const;
/** Inputs of `verify`: src/cli/verify/cases.ts. */
export const cases = ['random', 'zeros', 'ones', 'negative', 'tiny', 'large', 'infinite', 'NaN'] as const;
export const processors = ['native', 'x86-64-v4', 'x86-64-v3', 'armv8', 'plain'] as const;
