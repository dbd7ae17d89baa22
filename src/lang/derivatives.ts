// Derivatives as expressions: grad, vjp, jvp and Hessian-vector products, to any order.

import { jvpOf } from '../autodiff/forward.ts';
import { gradients, vjpOf } from '../autodiff/reverse.ts';
import { opTable } from '../ir/ops/index.ts';
import { type DType, formatType, isFloat, sameType } from '../ir/types.ts';
import { describe, fail, refuse } from './checks.ts';
import type { Shape } from './shape-types.ts';
import { type AnyTensor, here, Tensor } from './tensor.ts';

type Gradients<W> = W extends readonly AnyTensor[]
  ? { -readonly [I in keyof W]: W[I] extends Tensor<infer S, infer D> ? Tensor<S, D> : never }
  : W extends Tensor<infer S, infer D>
    ? Tensor<S, D>
    : never;

/**
 * The gradient of a float scalar by one tensor or several: expressions of their shapes, zeros where the scalar does not
 * depend on them. Throws UserError where `scalar` is not a float scalar, or one of `wrt` is not of floats.
 */
export function grad<const W extends AnyTensor | readonly AnyTensor[]>(scalar: AnyTensor, wrt: W): Gradients<W> {
  const list: readonly AnyTensor[] = Array.isArray(wrt) ? wrt : [wrt as AnyTensor];
  const { dtype, shape } = scalar.value.type;
  if (shape.length !== 0 || !isFloat(dtype))
    refuse(
      'grad',
      [scalar],
      `a float scalar expected, ${formatType(scalar.value.type)} given; reduce it first, for example with sum() or mean()`,
    );
  for (const tensor of list)
    if (!isFloat(tensor.value.type.dtype)) refuse('grad', [scalar, tensor], 'a gradient by floats only expected');
  const found = gradients(
    here(),
    opTable,
    scalar.value,
    list.map(({ value }) => value),
  ).map((value) => new Tensor(value));
  return (Array.isArray(wrt) ? found : found[0]) as Gradients<W>;
}

/** The scalar itself beside its gradient. */
export function valueAndGrad<S extends AnyTensor, const W extends AnyTensor | readonly AnyTensor[]>(
  scalar: S,
  wrt: W,
): [S, Gradients<W>] {
  return [scalar, grad(scalar, wrt)];
}

function expectSameTypes(what: string, tensors: readonly AnyTensor[], like: readonly AnyTensor[]): void {
  if (tensors.length !== like.length) fail(`${what}: ${like.length} tensors expected, ${tensors.length} given`);
  tensors.forEach((tensor, i) => {
    if (!sameType(tensor.value.type, like[i]!.value.type)) {
      const expected = formatType(like[i]!.value.type);
      fail(`${what}: ${expected} expected beside ${describe(like[i]!)}, ${formatType(tensor.value.type)} given`);
    }
  });
}

/** Σ cotangentᵢ · ∂outputᵢ/∂wrt for each of `wrt`. */
export function vjp(
  outputs: readonly AnyTensor[],
  cotangents: readonly AnyTensor[],
  wrt: readonly AnyTensor[],
): AnyTensor[] {
  expectSameTypes('vjp', cotangents, outputs);
  const b = here();
  const values = (list: readonly AnyTensor[]) => list.map(({ value }) => value);
  return vjpOf(b, opTable, values(outputs), values(cotangents), values(wrt)).map(
    (value, i) => new Tensor(value ?? b.like(wrt[i]!.value, 0)),
  );
}

/** Σ ∂output/∂wrtᵢ · tangentᵢ for each of `outputs`. */
export function jvp(
  outputs: readonly AnyTensor[],
  wrt: readonly AnyTensor[],
  tangents: readonly AnyTensor[],
): AnyTensor[] {
  expectSameTypes('jvp', tangents, wrt);
  const b = here();
  const values = (list: readonly AnyTensor[]) => list.map(({ value }) => value);
  return jvpOf(b, opTable, values(outputs), values(wrt), values(tangents)).map(
    (value, i) => new Tensor(value ?? b.like(outputs[i]!.value, 0)),
  );
}

/** The Hessian of a scalar by `wrt`, times a vector of the same shape: forward over reverse. */
export function hvp<S extends Shape, D extends DType>(
  scalar: AnyTensor,
  wrt: Tensor<S, D>,
  vector: Tensor<S, D>,
): Tensor<S, D> {
  expectSameTypes('hvp', [vector], [wrt]);
  const gradient = grad(scalar, wrt as AnyTensor) as AnyTensor;
  return jvp([gradient], [wrt], [vector])[0] as Tensor<S, D>;
}
