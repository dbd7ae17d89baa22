// What options may choose from.

import { type GpuKind, gpuTargets } from '../passes/gpu/schedule.ts';
import { type CpuName, targets as schedules } from '../passes/schedule.ts';

export const targets = ['c', 'wgsl', 'js'] as const;
export const stages = ['summary', 'graph', 'optimized', 'kernels', 'program', 'c', 'wgsl', 'js'] as const;
/** Inputs of `verify`: src/cli/verify/cases.ts. */
export const cases = ['random', 'zeros', 'ones', 'negative', 'tiny', 'large', 'infinite', 'NaN'] as const;
export const kernelKinds = Object.keys(gpuTargets) as readonly GpuKind[];
export const processors = ['native', ...(Object.keys(schedules) as CpuName[])] as const;
