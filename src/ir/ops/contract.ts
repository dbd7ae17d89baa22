// Contractions: products of two operands summed over shared axes. Both are bilinear, and every derivative is again a
// contraction of the same kind with axes moved.

import type { Builder } from '../builder.ts';
import type { Node, Value } from '../graph.ts';
import { type Axis, axis, type IndexExpr, of } from '../index-expr.ts';
import type { OpAttrs } from '../opattrs.ts';
import { type BatchedOperands, type ContractionForm, type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, type TensorType } from '../types.ts';
import { fromFront, later, toFront } from './batching.ts';
import { evaluateConv, evaluateDot } from './contract-reference.ts';
import { convForm, dilated } from './conv-form.ts';
import { expectDistinctAxes, expectLength, expectOperands } from './rules.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const free = (rank: number, contract: readonly number[], batch: readonly number[]): number[] =>
  range(rank).filter((i) => !contract.includes(i) && !batch.includes(i));

function dotType(lhs: TensorType, rhs: TensorType, { contract, batch }: OpAttrs['dot']): TensorType {
  const [lc, rc] = contract;
  const [lb, rb] = batch;
  expectDistinctAxes([...lc, ...lb], lhs.shape.length);
  expectDistinctAxes([...rc, ...rb], rhs.shape.length);
  if (lhs.dtype !== rhs.dtype)
    throw new TypeMismatch(`operands of one dtype expected, ${lhs.dtype} and ${rhs.dtype} given; cast one of them`);
  if (lhs.dtype === 'bool') throw new TypeMismatch('numbers expected, bool given');
  for (const [l, r, what] of [
    [lc, rc, 'contracted'],
    [lb, rb, 'batch'],
  ] as const) {
    if (l.length !== r.length)
      throw new TypeMismatch(`as many ${what} axes on both sides expected, [${l}] and [${r}] given`);
    l.forEach((axisL, i) => {
      const axisR = r[i]!;
      if (lhs.shape[axisL] !== rhs.shape[axisR]) {
        throw new TypeMismatch(
          `${what} axis ${axisL} of ${formatType(lhs)} has ${lhs.shape[axisL]} elements, axis ${axisR} of ${formatType(rhs)} has ${rhs.shape[axisR]}`,
        );
      }
    });
  }
  const shape = [
    ...lb.map((i) => lhs.shape[i]!),
    ...free(lhs.shape.length, lc, lb).map((i) => lhs.shape[i]!),
    ...free(rhs.shape.length, rc, rb).map((i) => rhs.shape[i]!),
  ];
  return { dtype: lhs.dtype, shape };
}

/**
 * The cotangent of one side: the other side contracted with c, its axes put back in the operand's order. Of the two orders
 * of operands the one is taken that needs no transposition, if either does.
 */
function dotCotangent(b: Builder, node: Node<'dot'>, c: Value, side: 0 | 1): Value {
  const other = node.operands[1 - side]!;
  const { contract, batch } = node.attrs;
  const selfFree = free(node.operands[side]!.type.shape.length, contract[side], batch[side]);
  const otherFree = free(other.type.shape.length, contract[1 - side]!, batch[1 - side]!);
  const batchCount = batch[0].length;
  // c is [batch, lhs free, rhs free]; the other side's free axes are contracted.
  const start = side === 0 ? batchCount + selfFree.length : batchCount;
  const cotangentAxes = otherFree.map((_, i) => start + i);
  const contracted = [...contract[1 - side]!]
    .sort((x, y) => x - y)
    .map((i) => contract[side]![contract[1 - side]!.indexOf(i)]!);
  const [onC, onOther] = [range(batchCount), batch[1 - side]!];
  const otherFirst = [...batch[side]!, ...contracted, ...selfFree];
  if (otherFirst.every((axis, i) => axis === i)) {
    return b.dot(other, c, { contract: [otherFree, cotangentAxes], batch: [onOther, onC] });
  }
  const order = [...batch[side]!, ...selfFree, ...contracted];
  const product = b.dot(c, other, { contract: [cotangentAxes, otherFree], batch: [onC, onOther] });
  return b.transpose(product, { permutation: range(order.length).map((i) => order.indexOf(i)) });
}

function dotForm(node: Node<'dot'>): ContractionForm {
  const [lhs, rhs] = node.operands as [Value, Value];
  const { contract, batch } = node.attrs;
  const axesFor = (value: Value, positions: readonly number[], name: string): Axis[] =>
    positions.map((position, i) => axis(`${name}${i}`, value.type.shape[position]!));
  const batches = axesFor(lhs, batch[0], 'b');
  const lhsFree = free(lhs.type.shape.length, contract[0], batch[0]);
  const rhsFree = free(rhs.type.shape.length, contract[1], batch[1]);
  const rows = axesFor(lhs, lhsFree, 'm');
  const columns = axesFor(rhs, rhsFree, 'n');
  const inner = axesFor(lhs, contract[0], 'k');
  const indexOn = (rank: number, lists: readonly (readonly [readonly number[], readonly Axis[]])[]): IndexExpr[] => {
    const index = new Array<IndexExpr>(rank);
    for (const [positions, axes] of lists)
      positions.forEach((position, i) => {
        index[position] = of(axes[i]!);
      });
    return index;
  };
  return {
    batch: batches,
    rows,
    columns,
    inner,
    lhs: (s) =>
      s.operand(
        0,
        indexOn(lhs.type.shape.length, [
          [batch[0], batches],
          [lhsFree, rows],
          [contract[0], inner],
        ]),
      ),
    rhs: (s) =>
      s.operand(
        1,
        indexOn(rhs.type.shape.length, [
          [batch[1], batches],
          [rhsFree, columns],
          [contract[1], inner],
        ]),
      ),
    result: [...batches, ...rows, ...columns].map(of),
  };
}

/** A new axis of both sides is a batch axis, one of a single side a free axis of it: the other side is not repeated. */
function batchDot(b: Builder, { attrs, operands }: Node<'dot'>, { values, batched }: BatchedOperands): Value {
  const [lhs, rhs] = values as [Value, Value];
  const { contract, batch } = attrs;
  const moved = ([l, r]: typeof contract): [readonly number[], readonly number[]] => [
    batched[0]! ? later(l) : l,
    batched[1]! ? later(r) : r,
  ];
  const [lb, rb] = moved(batch);
  if (batched[0]! && batched[1]!)
    return b.dot(lhs, rhs, {
      contract: moved(contract),
      batch: [
        [0, ...lb],
        [0, ...rb],
      ],
    });
  const before = batched[0]! ? lb.length : operands[0]!.type.shape.length - contract[0].length;
  return toFront(b, b.dot(lhs, rhs, { contract: moved(contract), batch: [lb, rb] }), before);
}

function convType(lhs: TensorType, rhs: TensorType, attrs: OpAttrs['conv']): TensorType {
  const spatial = lhs.shape.length - 2;
  if (spatial < 0 || rhs.shape.length !== lhs.shape.length) {
    throw new TypeMismatch(
      `an image [N, channels, spatial..] and a kernel [out, in, spatial..] of the same rank expected, ${formatType(lhs)} and ${formatType(rhs)} given`,
    );
  }
  if (lhs.dtype !== rhs.dtype)
    throw new TypeMismatch(`operands of one dtype expected, ${lhs.dtype} and ${rhs.dtype} given; cast one of them`);
  if (lhs.dtype === 'bool') throw new TypeMismatch('numbers expected, bool given');
  for (const name of ['strides', 'padding', 'lhsDilation', 'rhsDilation'] as const)
    expectLength(attrs[name], spatial, name);
  const [n, channels] = lhs.shape as readonly [number, number];
  const [out, inPerGroup] = rhs.shape as readonly [number, number];
  const { groups } = attrs;
  if (groups < 1 || out % groups !== 0 || channels !== groups * inPerGroup) {
    throw new TypeMismatch(
      `${channels} input channels in ${groups} groups and kernels for ${inPerGroup} (${out} outputs) do not fit: channels = groups · ${inPerGroup}, and groups divides outputs`,
    );
  }
  const shape = range(spatial).map((d) => {
    const positive = attrs.strides[d]! >= 1 && attrs.lhsDilation[d]! >= 1 && attrs.rhsDilation[d]! >= 1;
    if (!positive) throw new TypeMismatch('strides and dilations of at least 1 expected');
    const [low, high] = attrs.padding[d]!;
    const size = dilated(lhs.shape[d + 2]!, attrs.lhsDilation[d]!) + low + high;
    const taps = dilated(rhs.shape[d + 2]!, attrs.rhsDilation[d]!);
    if (size < taps)
      throw new TypeMismatch(`the kernel spans ${taps} elements of spatial axis ${d}, the padded image has ${size}`);
    return Math.floor((size - taps) / attrs.strides[d]!) + 1;
  });
  return { dtype: lhs.dtype, shape: [n, out, ...shape] };
}

/** ∂/∂lhs: the cotangent, spread by the strides, with the kernel turned around and its in and out channels swapped. */
function convLhsCotangent(b: Builder, { operands, attrs, results }: Node<'conv'>, c: Value): Value {
  const [lhs, rhs] = operands as [Value, Value];
  const spatial = range(attrs.strides.length);
  const { groups } = attrs;
  const [out, inPerGroup, ...kernel] = rhs.type.shape as readonly [number, number, ...number[]];
  const split = b.reshape(rhs, { shape: [groups, out / groups, inPerGroup, ...kernel] });
  const swapped = b.transpose(split, { permutation: [0, 2, 1, ...spatial.map((d) => d + 3)] });
  const flipped = b.reverse(b.reshape(swapped, { shape: [groups * inPerGroup, out / groups, ...kernel] }), {
    axes: spatial.map((d) => d + 2),
  });
  const padding = spatial.map((d): [number, number] => {
    const taps = dilated(kernel[d]!, attrs.rhsDilation[d]!);
    const low = taps - 1 - attrs.padding[d]![0];
    const size = dilated(results[0]!.type.shape[d + 2]!, attrs.strides[d]!);
    const high = dilated(lhs.type.shape[d + 2]!, attrs.lhsDilation[d]!) - (size + low - taps + 1);
    return [low, high];
  });
  return b.conv(c, flipped, {
    strides: attrs.lhsDilation,
    padding,
    lhsDilation: attrs.strides,
    rhsDilation: attrs.rhsDilation,
    groups,
  });
}

/** ∂/∂rhs: images and cotangents correlated, with the batch as the contracted channel. */
function convRhsCotangent(b: Builder, { operands, attrs, results }: Node<'conv'>, c: Value): Value {
  const [lhs, rhs] = operands as [Value, Value];
  const spatial = range(attrs.strides.length);
  const { groups } = attrs;
  const [n, , ...image] = lhs.type.shape as readonly [number, number, ...number[]];
  const [out, inPerGroup, ...kernel] = rhs.type.shape as readonly [number, number, ...number[]];
  const split = b.reshape(lhs, { shape: [n, groups, inPerGroup, ...image] });
  const moved = b.transpose(split, { permutation: [2, 1, 0, ...spatial.map((d) => d + 3)] });
  const images = b.reshape(moved, { shape: [inPerGroup, groups * n, ...image] });
  const cotangents = b.transpose(c, { permutation: [1, 0, ...spatial.map((d) => d + 2)] });
  const padding = spatial.map((d): [number, number] => {
    const low = attrs.padding[d]![0];
    const size = dilated(image[d]!, attrs.lhsDilation[d]!);
    const taps = dilated(results[0]!.type.shape[d + 2]!, attrs.strides[d]!);
    // Exactly kernel[d] positions: (kernel − 1)·dilation + taps cells of the padded image.
    return [low, dilated(kernel[d]!, attrs.rhsDilation[d]!) - 1 + taps - size - low];
  });
  const product = b.conv(images, cotangents, {
    strides: attrs.rhsDilation,
    padding,
    lhsDilation: attrs.lhsDilation,
    rhsDilation: attrs.strides,
    groups,
  });
  return b.transpose(b.reshape(product, { shape: [inPerGroup, out, ...kernel] }), {
    permutation: [1, 0, ...spatial.map((d) => d + 2)],
  });
}

/** A new axis of images alone is more images, one of kernels alone more outputs, one of both more groups. */
function batchConv(b: Builder, { attrs, results }: Node<'conv'>, { values, batched, size }: BatchedOperands): Value {
  const [lhs, rhs] = values as [Value, Value];
  const { groups } = attrs;
  const [n, out, ...image] = results[0]!.type.shape as readonly [number, number, ...number[]];
  const merged = (x: Value, axis: number): Value => {
    const moved = fromFront(b, x, axis);
    const { shape } = moved.type;
    const product = shape[axis]! * shape[axis + 1]!;
    return b.reshape(moved, { shape: [...shape.slice(0, axis), product, ...shape.slice(axis + 2)] });
  };
  if (!batched[1]!) return b.reshape(b.conv(merged(lhs, 0), rhs, attrs), { shape: [size, n, out, ...image] });
  if (batched[0]!) {
    const found = b.conv(merged(lhs, 1), merged(rhs, 0), { ...attrs, groups: size * groups });
    return toFront(b, b.reshape(found, { shape: [n, size, out, ...image] }), 1);
  }
  const [, , inPerGroup, ...kernel] = rhs.type.shape as readonly [number, number, number, ...number[]];
  const grouped = b.reshape(rhs, { shape: [size, groups, out / groups, inPerGroup, ...kernel] });
  const kernels = b.reshape(fromFront(b, grouped, 1), { shape: [size * out, inPerGroup, ...kernel] });
  const found = b.reshape(b.conv(lhs, kernels, attrs), { shape: [n, groups, size, out / groups, ...image] });
  return b.reshape(toFront(b, found, 2), { shape: [size, n, out, ...image] });
}

const bilinearJvp =
  <K extends 'dot' | 'conv'>(apply: (b: Builder, node: Node<K>, lhs: Value, rhs: Value) => Value) =>
  (b: Builder, node: Node<K>, [s, t]: readonly (Value | null)[]): readonly (Value | null)[] => [
    b.addMaybe(s ? apply(b, node, s, node.operands[1]!) : null, t ? apply(b, node, node.operands[0]!, t) : null),
  ];

const conv = (image: string, kernel: string, attrs: string): { text: string } => ({
  text: `func @f(%x: f32[${image}], %w: f32[${kernel}]) {\n  %0 = conv(%x, %w) {${attrs}}\n  return y = %0\n}`,
});
const dot = (x: string, y: string, contract: string, batch: string): { text: string } => ({
  text: `func @f(%x: ${x}, %y: ${y}) {\n  %0 = dot(%x, %y) {contract=${contract}, batch=${batch}}\n  return z = %0\n}`,
});

export const contractOps: Pick<OpTable, 'dot' | 'conv'> = {
  dot: {
    doc: 'Sums products over contracted axes: matrix products with any axes and batches.',
    infer: (operands, attrs) => {
      expectOperands(operands, 2);
      return [dotType(operands[0]!, operands[1]!, attrs)];
    },
    evaluate: ([x, y], attrs, [type]) => [evaluateDot(x!, y!, attrs, type!)],
    jvp: bilinearJvp<'dot'>((b, node, lhs, rhs) => b.dot(lhs, rhs, node.attrs)),
    vjp: (b, node, [c]) => [dotCotangent(b, node, c!, 0), dotCotangent(b, node, c!, 1)],
    batch: (b, node, operands) => [batchDot(b, node, operands)],
    lowering: { class: 'contraction', form: dotForm },
    examples: [
      dot('f32[3,4]', 'f32[4,5]', '[[1],[0]]', '[[],[]]'),
      dot('f32[4,3]', 'f32[5,4]', '[[0],[1]]', '[[],[]]'),
      dot('f32[2,3,4]', 'f32[2,4,2]', '[[2],[1]]', '[[0],[0]]'),
      dot('f32[3,2,4]', 'f32[4,2,3]', '[[0,2],[2,0]]', '[[1],[1]]'),
      dot('f32[4]', 'f32[4]', '[[0],[0]]', '[[],[]]'),
      dot('f32[2]', 'f32[3]', '[[],[]]', '[[],[]]'),
      dot('f64[3,4]', 'f64[4,2]', '[[1],[0]]', '[[],[]]'),
      dot('i32[3,4]', 'i32[4,2]', '[[1],[0]]', '[[],[]]'),
    ],
  },
  conv: {
    doc: 'Cross-correlation of images [N, G·C, S..] with kernels [G·O, C, K..].',
    infer: (operands, attrs) => {
      expectOperands(operands, 2);
      return [convType(operands[0]!, operands[1]!, attrs)];
    },
    evaluate: ([x, w], attrs, [type]) => [evaluateConv(x!, w!, attrs, type!)],
    jvp: bilinearJvp<'conv'>((b, node, lhs, rhs) => b.conv(lhs, rhs, node.attrs)),
    vjp: (b, node, [c]) => [convLhsCotangent(b, node, c!), convRhsCotangent(b, node, c!)],
    batch: (b, node, operands) => [batchConv(b, node, operands)],
    lowering: { class: 'contraction', form: convForm },
    examples: [
      conv('1,2,5', '3,2,3', 'strides=[1], padding=[[0,0]], lhsDilation=[1], rhsDilation=[1], groups=1'),
      conv(
        '2,2,4,4',
        '2,2,3,3',
        'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1',
      ),
      conv(
        '1,2,6,5',
        '2,2,3,2',
        'strides=[2,2], padding=[[1,0],[0,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1',
      ),
      conv(
        '1,1,7,7',
        '1,1,2,2',
        'strides=[2,1], padding=[[0,0],[-1,0]], lhsDilation=[1,1], rhsDilation=[2,3], groups=1',
      ),
      conv(
        '1,2,3,3',
        '2,2,3,3',
        'strides=[1,1], padding=[[2,2],[1,2]], lhsDilation=[2,2], rhsDilation=[1,1], groups=1',
      ),
      conv(
        '2,2,3,4',
        '3,2,3,2',
        'strides=[1,1], padding=[[1,2],[-1,1]], lhsDilation=[3,2], rhsDilation=[1,1], groups=1',
      ),
      conv(
        '1,4,2,3',
        '6,2,4,1',
        'strides=[1,1], padding=[[2,2],[0,0]], lhsDilation=[2,1], rhsDilation=[1,1], groups=2',
      ),
      conv('1,2,4', '2,2,1', 'strides=[1], padding=[[0,1]], lhsDilation=[2], rhsDilation=[1], groups=1'),
      conv(
        '1,4,4,4',
        '6,2,3,3',
        'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=2',
      ),
      conv(
        '1,3,4,4',
        '3,1,2,2',
        'strides=[2,2], padding=[[0,0],[0,0]], lhsDilation=[1,1], rhsDilation=[1,1], groups=3',
      ),
      conv(
        '1,2,3,3,2',
        '2,2,2,2,1',
        'strides=[1,1,1], padding=[[0,0],[1,0],[0,0]], lhsDilation=[1,1,1], rhsDilation=[1,1,1], groups=1',
      ),
    ],
  },
};
