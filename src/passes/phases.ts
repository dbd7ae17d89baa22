// Transposed convolutions by phases. A convolution over an image with d − 1 zeros between its elements multiplies mostly
// zeros: every result meets only each d-th tap. Results with the same remainder by d are a plain convolution with those
// taps; the phases are spread and added, each where the others are zero. Phases of few features are one convolution over
// the cells that any of them meets, each with its own features: zeros are multiplied again, but vectors are full. An
// infinity then reaches the results of neighbouring phases, as it does in Winograd's form. This is for CPUs, whose fast forms
// read a window over an image; a GPU computes all phases in one kernel (conv-form.ts).

import type { Builder } from '../ir/builder.ts';
import type { Node, Value } from '../ir/graph.ts';
import type { Pass } from './pass.ts';
import { type Rule, rewriteFunc, rule } from './rewrite.ts';
import { togetherFeatures } from './schedule.ts';

/** One phase along one axis: which taps it has, and where its results go. */
interface Phase {
  readonly firstTap: number;
  readonly taps: number;
  readonly padding: readonly [number, number];
  readonly first: number;
  readonly results: number;
}

export const phaseRules: readonly Rule[] = [
  rule('convolution-phases', 'conv', (node, b) => {
    const { strides, lhsDilation, rhsDilation } = node.attrs;
    const spread = lhsDilation.some((d) => d > 1);
    return spread && strides.every((s) => s === 1) && rhsDilation.every((d) => d === 1) ? byPhases(node, b) : null;
  }),
];

export const convolutionPhases: Pass = {
  name: 'convolution-phases',
  guarantees: 'no convolution with stride 1 multiplies the zeros of a spread image',
  needs: 'nothing',
  run: (func) => rewriteFunc(func, phaseRules),
};

function byPhases(node: Node<'conv'>, b: Builder): Value {
  const phases = node.attrs.lhsDilation.map((_, d) => phasesOf(node, d));
  const combinations = phases.reduce<readonly (readonly Phase[])[]>(
    (chosen, next) => chosen.flatMap((before) => next.map((phase) => [...before, phase])),
    [[]],
  );
  // Without any tap in any phase the result is zero.
  if (combinations.length === 0) return b.fill(node.results[0]!.type, 0);
  const isNarrow = node.attrs.groups === 1 && combinations.length * node.results[0]!.type.shape[1]! <= togetherFeatures;
  const convolved =
    isNarrow && combinations.length > 1
      ? convolveTogether(node, b, phases, combinations)
      : combinations.map((chosen) => convolvePhase(node, b, chosen));
  return convolved
    .map((part, i) => spreadPhase(node, b, part, combinations[i]!))
    .reduce((sum, part) => b.add(sum, part));
}

/** Result d·q + r meets tap k where r + k − low is a multiple of d; the taps are then k₀ + d·m, the cells q + m + (r + k₀ − low)/d. */
function phasesOf({ attrs, operands, results }: Node<'conv'>, axis: number): Phase[] {
  const spread = attrs.lhsDilation[axis]!;
  const [low] = attrs.padding[axis]!;
  const cells = operands[0]!.type.shape[axis + 2]!;
  const taps = operands[1]!.type.shape[axis + 2]!;
  const all = results[0]!.type.shape[axis + 2]!;
  const phases: Phase[] = [];
  for (let first = 0; first < Math.min(spread, all); first++) {
    const firstTap = (((low - first) % spread) + spread) % spread;
    const count = Math.max(0, Math.ceil((taps - firstTap) / spread));
    const before = (low - first - firstTap) / spread;
    const made = Math.ceil((all - first) / spread);
    if (count === 0) continue;
    phases.push({ firstTap, taps: count, padding: [before, made - cells - before + count - 1], first, results: made });
  }
  return phases;
}

/** The taps of one phase. */
function tapsOf(node: Node<'conv'>, b: Builder, phases: readonly Phase[]): Value {
  const weights = node.operands[1]!;
  const { lhsDilation } = node.attrs;
  return b.slice(weights, {
    starts: [0, 0, ...phases.map(({ firstTap }) => firstTap)],
    limits: weights.type.shape.map((dim, i) =>
      i < 2 ? dim : phases[i - 2]!.firstTap + (phases[i - 2]!.taps - 1) * lhsDilation[i - 2]! + 1,
    ),
    strides: [1, 1, ...lhsDilation],
  });
}

function convolvePhase(node: Node<'conv'>, b: Builder, phases: readonly Phase[]): Value {
  const lhsDilation = phases.map(() => 1);
  const padding = phases.map((phase) => phase.padding);
  return b.conv(node.operands[0]!, tapsOf(node, b, phases), { ...node.attrs, lhsDilation, padding });
}

/** All phases as features of one convolution, whose window begins with the earliest cell and ends with the latest. */
function convolveTogether(
  node: Node<'conv'>,
  b: Builder,
  axes: readonly (readonly Phase[])[],
  combinations: readonly (readonly Phase[])[],
): Value[] {
  const image = node.operands[0]!;
  const windows = axes.map((phases, d) => {
    const before = Math.max(...phases.map(({ padding }) => padding[0]));
    const taps = Math.max(...phases.map((phase) => before - phase.padding[0] + phase.taps));
    const results = Math.max(...phases.map((phase) => phase.results));
    return { before, taps, results, after: results - image.type.shape[d + 2]! - before + taps - 1 };
  });
  const kernels = combinations.map((chosen) => {
    const skipped = chosen.map(({ padding }, d) => windows[d]!.before - padding[0]);
    const left = chosen.map(({ taps }, d) => windows[d]!.taps - skipped[d]! - taps);
    const interior = [0, 0, ...chosen.map(() => 0)];
    return b.pad(tapsOf(node, b, chosen), { low: [0, 0, ...skipped], high: [0, 0, ...left], interior, value: 0 });
  });
  const all = b.conv(image, b.concat(...kernels, { axis: 0 }), {
    ...node.attrs,
    lhsDilation: windows.map(() => 1),
    padding: windows.map(({ before, after }): [number, number] => [before, after]),
  });
  const [images, features] = node.results[0]!.type.shape as readonly [number, number];
  return combinations.map((chosen, i) =>
    b.slice(all, {
      starts: [0, i * features, ...chosen.map(() => 0)],
      limits: [images, (i + 1) * features, ...chosen.map(({ results }) => results)],
      strides: all.type.shape.map(() => 1),
    }),
  );
}

/** The results of a phase at their places, zeros between them. */
function spreadPhase(node: Node<'conv'>, b: Builder, part: Value, phases: readonly Phase[]): Value {
  const { shape } = node.results[0]!.type;
  const { lhsDilation } = node.attrs;
  return b.pad(part, {
    low: [0, 0, ...phases.map(({ first }) => first)],
    high: shape.map((dim, i) => {
      if (i < 2) return 0;
      const { first, results } = phases[i - 2]!;
      return dim - 1 - (first + (results - 1) * lhsDilation[i - 2]!);
    }),
    interior: [0, 0, ...lhsDilation.map((d) => d - 1)],
    value: 0,
  });
}
