// Elements at places along axes: known places as views where they are regular, others by gathers whose leading axes pair up.

import { gather, narrow, slice } from '../../lang/functions.ts';
import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import type { NodeContext } from '../node-context.ts';

/** Elements at known places along an axis. Places at equal distances and whole repetitions are views, which cost nothing. */
export function pickAlong(node: NodeContext, x: AnyTensor, places: readonly number[], axis: number): AnyTensor {
  const shape: readonly number[] = x.value.type.shape;
  if (places.length === 0) return narrow(x, axis, 0, 0);
  const repeated = places.length / shape[axis]!;
  if (Number.isInteger(repeated) && places.every((place, i) => place === Math.floor(i / repeated)))
    return repeatAlong(x, repeated, axis);
  const stride = places.length === 1 ? 1 : places[1]! - places[0]!;
  if (stride > 0 && places.every((place, i) => place === places[0]! + i * stride)) {
    const starts = shape.map((_, i) => (i === axis ? places[0]! : 0));
    const limits = shape.map((dim, i) => (i === axis ? places[places.length - 1]! + 1 : dim));
    return slice(
      x,
      starts,
      limits,
      shape.map((_, i) => (i === axis ? stride : 1)),
    );
  }
  return gather(x, node.numbers('int32', [places.length], places).tensor, axis);
}

/** Each element along an axis `times` times in a row. */
function repeatAlong(x: AnyTensor, times: number, axis: number): AnyTensor {
  if (times === 1) return x;
  const shape: readonly number[] = x.value.type.shape;
  const [before, after] = [shape.slice(0, axis + 1), shape.slice(axis + 1)];
  return x
    .reshape([...before, 1, ...after])
    .broadcastTo([...before, times, ...after])
    .reshape(shape.map((dim, i) => (i === axis ? dim * times : dim)));
}

/** `[B.., P.., N, S..]` at `[B.., I..]` → `[B.., P.., I.., S..]`: the first `batch` axes are B, N is at `axis`. */
export function gatherBatched(x: AnyTensor, indices: AnyTensor, axis: number, batch: number): AnyTensor {
  return new Tensor(here('gather').gather(x.value, indices.value, { axis, batch }));
}

/** `[B.., P.., N, S..]` with updates `[B.., P.., I.., S..]` added at `[B.., I..]`; indices out of range add nothing. */
export function addBatched(
  x: AnyTensor,
  indices: AnyTensor,
  updates: AnyTensor,
  axis: number,
  batch: number,
): AnyTensor {
  return new Tensor(here('scatterAdd').scatterAdd(x.value, indices.value, updates.value, { axis, batch }));
}

/** A tensor of one axis along `axis` of `rank` axes, so that it broadcasts. */
export function alongAxis(x: AnyTensor, axis: number, rank: number): AnyTensor {
  return x.reshape(Array.from({ length: rank }, (_, i) => (i === axis ? -1 : 1)));
}
