// A convolution as a contraction: as a window over the padded image, or, of an image with zeros between its elements, by
// phases, so that no tap meets one of those zeros.

import type { Node, Value } from '../graph.ts';
import {
  type Axis,
  add,
  axis,
  boundsOf,
  fixed,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
  subtract,
} from '../index-expr.ts';
import { type Expr, literal } from '../kernel.ts';
import type { ContractionForm, PaddedWindow } from '../optable.ts';
import { both, divides, guarded, within } from './shape.ts';

/** Elements of an axis with its dilation: zeros between them, or gaps between taps. */
export const dilated = (dim: number, dilation: number): number => (dim === 0 ? 0 : (dim - 1) * dilation + 1);

/** The axes that both forms have. */
interface ConvAxes {
  readonly group: Axis;
  readonly out: Axis;
  readonly image: Axis;
  readonly channel: Axis;
  /** Of the result and of the kernels. */
  readonly outIndex: IndexExpr;
  /** Of the image. */
  readonly channelIndex: IndexExpr;
}

function axesOf({ attrs, operands, results }: Node<'conv'>): ConvAxes {
  const [outputs, inPerGroup] = operands[1]!.type.shape as readonly [number, number];
  const outPerGroup = outputs / attrs.groups;
  const group = axis('group', attrs.groups);
  const out = axis('out', outPerGroup);
  const image = axis('image', results[0]!.type.shape[0]!);
  const channel = axis('channel', inPerGroup);
  return {
    group,
    out,
    image,
    channel,
    outIndex: add(multiply(of(group), outPerGroup), of(out)),
    channelIndex: add(multiply(of(group), inPerGroup), of(channel)),
  };
}

export function convForm(node: Node<'conv'>): ContractionForm {
  const { strides, lhsDilation, rhsDilation } = node.attrs;
  const isSpread = lhsDilation.some((spread) => spread > 1);
  const isPlain = strides.every((stride) => stride === 1) && rhsDilation.every((gap) => gap === 1);
  return isSpread && isPlain ? phasedForm(node) : windowForm(node);
}

function windowForm(node: Node<'conv'>): ContractionForm {
  const { attrs } = node;
  const [lhs, rhs] = node.operands as [Value, Value];
  const { shape } = node.results[0]!.type;
  const { group, out, image, channel, outIndex, channelIndex } = axesOf(node);
  const positions = shape.slice(2).map((extent, d) => axis(`at${d}`, extent));
  const taps = rhs.type.shape.slice(2).map((extent, d) => axis(`tap${d}`, extent));
  const spatial = positions.map((position, d) =>
    add(multiply(of(position), attrs.strides[d]!), multiply(of(taps[d]!), attrs.rhsDilation[d]!)),
  );
  const window: PaddedWindow = {
    shape: [shape[0]!, lhs.type.shape[1]!, ...spatial.map((cell) => boundsOf(cell).upper + 1)],
    element: (s, [n, c, ...cells]) => paddedElement(node, (at) => s.operand(0, [n!, c!, ...at]), cells),
    index: [of(image), channelIndex, ...spatial],
    channels: 1,
  };
  return {
    batch: [group],
    rows: [out],
    columns: [image, ...positions],
    inner: [channel, ...taps],
    lhs: (s) => s.operand(1, [outIndex, of(channel), ...taps.map(of)]),
    rhs: (s) => window.element(s, window.index),
    result: [of(image), outIndex, ...positions.map(of)],
    window,
  };
}

/** One axis of a convolution by phases; an axis without zeros has one phase. */
interface PhasedAxis {
  readonly phase: Axis;
  /** The position of a result among those of its phase, and which of a phase's taps. */
  readonly at: Axis;
  readonly tap: Axis;
  /** The kernel's index, the image's, and the result's. */
  readonly taken: IndexExpr;
  readonly cell: IndexExpr;
  readonly position: IndexExpr;
}

/**
 * Result p = d·q + r meets tap k where p + k − low is a multiple of the spread d. So k = d·m + (low − r) mod d for the m-th
 * tap of phase r, and the cell is q + m − ⌊(low − r)/d⌋: both operands depend on the phase, which is an axis of the batch.
 */
function phasedAxis({ attrs, operands, results }: Node<'conv'>, d: number): PhasedAxis {
  const spread = attrs.lhsDilation[d]!;
  const all = results[0]!.type.shape[d + 2]!;
  const phase = axis(`phase${d}`, Math.min(spread, all));
  const at = axis(`at${d}`, Math.ceil(all / spread));
  const tap = axis(`tap${d}`, Math.ceil(operands[1]!.type.shape[d + 2]! / spread));
  const first = subtract(fixed(attrs.padding[d]![0]), of(phase));
  return {
    phase,
    at,
    tap,
    taken: add(multiply(of(tap), spread), modulo(first, spread)),
    cell: subtract(add(of(at), of(tap)), floorDiv(first, spread)),
    position: add(multiply(of(at), spread), of(phase)),
  };
}

function phasedForm(node: Node<'conv'>): ContractionForm {
  const [lhs, rhs] = node.operands as [Value, Value];
  const { group, out, image, channel, outIndex, channelIndex } = axesOf(node);
  const axes = node.attrs.lhsDilation.map((_, d) => phasedAxis(node, d));
  const zero = literal(lhs.type.dtype, 0);
  const inside = (indices: readonly IndexExpr[], { type: { shape } }: Value): Expr | null =>
    indices.reduce<Expr | null>((all, index, d) => both(all, within(index, 0, shape[d + 2]!)), null);
  const taken = axes.map((next) => next.taken);
  const cells = axes.map(({ cell }) => cell);
  return {
    batch: [group, ...axes.map(({ phase }) => phase)],
    rows: [out],
    columns: [image, ...axes.map(({ at }) => at)],
    inner: [...axes.map(({ tap }) => tap), channel],
    lhs: (s) => guarded(inside(taken, rhs), () => s.operand(1, [outIndex, of(channel), ...taken]), zero),
    rhs: (s) => guarded(inside(cells, lhs), () => s.operand(0, [of(image), channelIndex, ...cells]), zero),
    result: [of(image), outIndex, ...axes.map(({ position }) => position)],
  };
}

/** The image at cells that count from the start of the padding: zero there and between spread elements. */
function paddedElement(
  { attrs, operands }: Node<'conv'>,
  read: (cells: readonly IndexExpr[]) => Expr,
  cells: readonly IndexExpr[],
): Expr {
  const { dtype, shape } = operands[0]!.type;
  let condition: Expr | null = null;
  const inside = cells.map((cell, d) => {
    const at = subtract(cell, fixed(attrs.padding[d]![0]));
    condition = both(condition, within(at, 0, dilated(shape[d + 2]!, attrs.lhsDilation[d]!)));
    condition = both(condition, divides(at, attrs.lhsDilation[d]!));
    return floorDiv(at, attrs.lhsDilation[d]!);
  });
  return guarded(condition, () => read(inside), literal(dtype, 0));
}
