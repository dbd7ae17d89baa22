// Transposed convolutions by phases. A convolution over an image with d − 1 zeros between its elements multiplies mostly
// zeros: every result meets only each d-th tap. Results with the same remainder by d are a plain convolution with those
// taps; the phases are spread and added, each where the others are zero.

import type { Builder } from '../ir/builder.ts';
import type { Node, Value } from '../ir/graph.ts';
import type { Pass } from './pass.ts';
import { type Rule, rewriteFunc, rule } from './rewrite.ts';

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
  const parts = combinations.map((chosen) => spreadPhase(node, b, chosen));
  // Without any tap in any phase the result is zero.
  return parts.length === 0 ? b.fill(node.results[0]!.type, 0) : parts.reduce((sum, part) => b.add(sum, part));
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

function spreadPhase(node: Node<'conv'>, b: Builder, phases: readonly Phase[]): Value {
  const [image, weights] = node.operands as [Value, Value];
  const { shape } = node.results[0]!.type;
  const { attrs } = node;
  const taken = b.slice(weights, {
    starts: [0, 0, ...phases.map(({ firstTap }) => firstTap)],
    limits: weights.type.shape.map((dim, i) =>
      i < 2 ? dim : phases[i - 2]!.firstTap + (phases[i - 2]!.taps - 1) * attrs.lhsDilation[i - 2]! + 1,
    ),
    strides: [1, 1, ...attrs.lhsDilation],
  });
  const ones = phases.map(() => 1);
  const part = b.conv(image, taken, { ...attrs, lhsDilation: ones, padding: phases.map(({ padding }) => padding) });
  return b.pad(part, {
    low: [0, 0, ...phases.map(({ first }) => first)],
    high: shape.map((dim, i) => {
      if (i < 2) return 0;
      const { first, results } = phases[i - 2]!;
      return dim - 1 - (first + (results - 1) * attrs.lhsDilation[i - 2]!);
    }),
    interior: [0, 0, ...attrs.lhsDilation.map((d) => d - 1)],
    value: 0,
  });
}
