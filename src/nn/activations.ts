// Activation functions of tensors.

import type { DType } from '../ir/types.ts';
import { logSoftmax, softmax, where } from '../lang/functions.ts';
import type { Shape } from '../lang/shape-types.ts';
import type { AnyTensor, Tensor } from '../lang/tensor.ts';

/** A function that keeps shape and dtype. */
export type Activation = <S extends Shape, D extends DType>(x: Tensor<S, D>) => Tensor<S, D>;

const activation =
  (compute: (x: AnyTensor) => AnyTensor): Activation =>
  (x) =>
    compute(x) as never;

export const identity: Activation = (x) => x;
/** 1 where x ≥ 0, else 0; its derivative is zero. */
export const step: Activation = activation((x) => x.ge(0).cast(x.dtype));
export const sigmoid: Activation = activation((x) => x.sigmoid());
export const tanh: Activation = activation((x) => x.tanh());
export const relu: Activation = activation((x) => x.relu());
/** x for x > 0, slope · x below. */
export const leakyRelu = (slope = 0.01): Activation => activation((x) => where(x.gt(0), x, x.mul(slope)));
/** x for x > 0, α(eˣ − 1) below. D. Clevert et al., ICLR 2016, eq. 15. */
export const elu = (alpha = 1): Activation =>
  activation((x) => {
    const positive = x.gt(0);
    // Not x.minimum(0), whose derivative at 0 is 1/2.
    return where(positive, x, where(positive, 0, x).expm1().mul(alpha));
  });
/** x Φ(x) = x/2 · (1 + erf(x/√2)). D. Hendrycks, K. Gimpel 2016. */
export const gelu: Activation = activation((x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)));
/** GELU by tanh: x/2 · (1 + tanh(√(2/π)(x + 0.044715 x³))). Hendrycks and Gimpel 2016, section 2. */
export const geluTanh: Activation = activation((x) => {
  const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
  return x.mul(0.5).mul(inner.tanh().add(1));
});
export const softplus: Activation = activation((x) => x.softplus());
/** x · sigmoid(x). */
export const silu: Activation = activation((x) => x.mul(x.sigmoid()));
/** exp(−x²), the Gaussian radial basis function. */
export const rbf: Activation = activation((x) => x.square().neg().exp());

export { logSoftmax, softmax };
