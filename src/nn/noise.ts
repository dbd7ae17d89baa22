// Layers that draw random numbers in training and are nothing in inference. Each has a key of its own and counts its steps in a
// variable, so that every step draws anew, and a run that goes on from a checkpoint draws what it would have drawn, on any target.

import { UserError } from '../ir/errors.ts';
import { type DropoutOptions, dropout as dropped, expectRate, foldIn, type Key, key, normal } from '../lang/random.ts';
import type { AnyTensor, Tensor } from '../lang/tensor.ts';
import { type AnyVariable, variable } from '../lang/variable.ts';
import { type Layer, layer, nameOf } from './layers.ts';
import { seedOr } from './random.ts';

// biome-ignore lint/suspicious/noExplicitAny: f32 tensors of any shape, as other layers take them
type F32 = Tensor<any, 'f32'>;

export interface NoiseOptions {
  readonly name?: string;
  /** Default: the next one, as of initializers. */
  readonly seed?: number;
}

/** A layer that changes its operand in training, by numbers of a key: another one for every place where it stands, and every step. */
function noisy(kind: string, { name: given, seed }: NoiseOptions, change: (from: Key, x: F32) => F32): Layer {
  const name = nameOf(kind, given);
  const own = key(seedOr(seed));
  const step = variable(`${name}.step`, [], { dtype: 'u32', trainable: false });
  const pending = new Map<AnyVariable, AnyTensor>();
  let places = 0;
  return layer(
    name,
    [step],
    (x, mode) => {
      if (mode === 'infer') return x;
      pending.set(step, step.add(1));
      return change(foldIn(foldIn(own, places++), step), x);
    },
    () => pending.entries(),
  );
}

/**
 * In training each element is zero with probability `rate`, and the others are divided by 1 − rate (N. Srivastava et al., JMLR 15,
 * 2014). `updates()` counts the steps: without it, every step drops the same elements. Throws UserError for a rate outside [0, 1).
 */
export function dropout(rate: number, options: NoiseOptions & DropoutOptions = {}): Layer {
  expectRate('dropout', rate);
  return noisy('dropout', options, (from, x) => dropped(from, x, rate, options));
}

/** In training normal noise of a standard deviation is added. Throws UserError for a negative one. */
export function gaussianNoise(deviation: number, options: NoiseOptions = {}): Layer {
  if (!(deviation >= 0)) throw new UserError(`gaussianNoise: a deviation of at least 0 expected, ${deviation} given`);
  return noisy('gaussianNoise', options, (from, x) => x.add(normal(from, x.shape).mul(deviation) as AnyTensor));
}
