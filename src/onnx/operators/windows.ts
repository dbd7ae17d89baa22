// Windows that slide over the spatial axes of [N, C, spatial..]: what convolution and pooling read of their attributes.

import type { NodeContext } from '../node-context.ts';

export interface SlidingWindow {
  readonly window: readonly number[];
  readonly strides: readonly number[];
  readonly dilation: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  /** Cells that `ceil_mode` adds after the padding, so that a last window fits. */
  readonly beyond: readonly number[];
}

/** Cells that a window spans on each axis. */
export function spansOf(window: readonly number[], dilation: readonly number[]): number[] {
  return window.map((size, d) => (size - 1) * dilation[d]! + 1);
}

/** The attributes of a window of the given size over spatial axes of the given sizes. */
export function slidingWindow(node: NodeContext, spatial: readonly number[], window: readonly number[]): SlidingWindow {
  const rank = spatial.length;
  const ones = spatial.map(() => 1);
  const strides = node.ints('strides', ones);
  const dilation = node.ints('dilations', ones);
  const pads = node.ints(
    'pads',
    [...ones, ...ones].map(() => 0),
  );
  for (const [name, list, count] of [
    ['kernel_shape', window, rank],
    ['strides', strides, rank],
    ['dilations', dilation, rank],
    ['pads', pads, 2 * rank],
  ] as const)
    if (list.length !== count) node.invalid(`${count} ${name} expected, [${list}] given`);
  if ([...window, ...strides, ...dilation].some((size) => size < 1))
    node.invalid('kernel, strides and dilations of at least 1 expected');
  const spans = spansOf(window, dilation);
  const padding = spatial.map((size, d) => paddingOf(node, size, spans[d]!, strides[d]!, [pads[d]!, pads[d + rank]!]));
  const rounds = node.int('ceil_mode', 0) !== 0;
  const beyond = spatial.map((size, d) => (rounds ? cellsBeyond(size, spans[d]!, strides[d]!, padding[d]!) : 0));
  return { window, strides, dilation, padding, beyond };
}

/** SAME gives ceil(size / stride) positions; an odd cell goes after the axis (UPPER) or before it (LOWER). */
function paddingOf(
  node: NodeContext,
  size: number,
  span: number,
  stride: number,
  pads: readonly [number, number],
): readonly [number, number] {
  const mode = node.string('auto_pad', 'NOTSET');
  if (mode === 'NOTSET' || mode === '') return pads;
  if (mode === 'VALID') return [0, 0];
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER') return node.invalid(`auto_pad ${mode}`);
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + span - size);
  const less = Math.floor(total / 2);
  return mode === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
}

/** The last window of a rounded-up count must begin inside the axis or before it, not in the padding after it. */
function cellsBeyond(size: number, span: number, stride: number, [low, high]: readonly [number, number]): number {
  const count = Math.ceil((size + low + high - span) / stride) + 1;
  const kept = (count - 1) * stride >= size + low ? count - 1 : count;
  return Math.max(0, (kept - 1) * stride + span - (size + low + high));
}

/** Positions of the window on each axis. */
export function positionsOf(
  spatial: readonly number[],
  { window, strides, dilation, padding, beyond }: SlidingWindow,
): number[] {
  const spans = spansOf(window, dilation);
  return spatial.map((size, d) => {
    const [low, high] = padding[d]!;
    return Math.floor((size + low + high + beyond[d]! - spans[d]!) / strides[d]!) + 1;
  });
}
