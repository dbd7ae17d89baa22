// Losses: one value per example (or per element, where said); reduce them with `.mean()` or `.sum()`. Both tensors must
// have one shape: a prediction [N, 1] beside a target [N] would be stretched to [N, N] without a word.

import { UserError } from '../ir/errors.ts';
import { logSoftmax, takeAlong, where } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';
import { expectLabels, expectSameType } from './expect.ts';

/** (prediction − target)², per element. */
export function squaredError(prediction: AnyTensor, target: AnyTensor): AnyTensor {
  expectSameType('squaredError', prediction, target);
  return prediction.sub(target).square();
}

/** |prediction − target|, per element. */
export function absoluteError(prediction: AnyTensor, target: AnyTensor): AnyTensor {
  expectSameType('absoluteError', prediction, target);
  return prediction.sub(target).abs();
}

/** d²/2 for |d| ≤ δ, else δ(|d| − δ/2), per element. P. J. Huber, Ann. Math. Statist. 35 (1964). */
export function huber(prediction: AnyTensor, target: AnyTensor, delta = 1): AnyTensor {
  expectSameType('huber', prediction, target);
  if (!(delta > 0)) throw new UserError(`huber: a delta above 0 expected, ${delta} given`);
  const distance: AnyTensor = prediction.sub(target).abs();
  return where(distance.le(delta), distance.square().mul(0.5), distance.sub(delta / 2).mul(delta));
}

/** −t log p − (1 − t) log(1 − p) for probabilities p, per element; logarithms are cut off at −100. */
export function binaryCrossEntropy(probability: AnyTensor, target: AnyTensor): AnyTensor {
  expectSameType('binaryCrossEntropy', probability, target);
  return target
    .mul(boundedLog(probability))
    .add(
      target
        .neg()
        .add(1)
        .mul(boundedLog(probability.neg().add(1))),
    )
    .neg();
}

const leastLog = -100;

/** max(log p, −100), whose derivative is 0 where it is cut off: at p = 0 a plain maximum's is 0 · ∞. */
function boundedLog(p: AnyTensor): AnyTensor {
  const large: AnyTensor = p.gt(Math.exp(leastLog));
  return where(large, where(large, p, 1).log(), leastLog);
}

/**
 * The same from logits z: t·log(1 + e^−z) + (1 − t)·log(1 + e^z), per element. Neither term overflows, and for targets of
 * 0 and 1 nothing cancels, so a loss far below 1 keeps its digits.
 */
export function binaryCrossEntropyWithLogits(logits: AnyTensor, target: AnyTensor): AnyTensor {
  expectSameType('binaryCrossEntropyWithLogits', logits, target);
  return target.mul(logits.neg().softplus()).add(target.neg().add(1).mul(logits.softplus()));
}

/**
 * −log softmax(logits)[label] for logits `[.., classes]` and integer labels `[..]`, per example. Labels that are an input of the
 * function are checked at each call; others are clamped to the classes.
 */
export function crossEntropy(logits: AnyTensor, labels: AnyTensor): AnyTensor {
  expectLabels('crossEntropy', logits, labels);
  const { shape } = labels.value.type;
  const picked: AnyTensor = takeAlong(logSoftmax(logits, -1), labels.reshape([...shape, 1]), -1);
  return picked.reshape(shape).neg();
}

/** −Σ target · log softmax(logits) over the last axis, for targets that are distributions, per example. */
export function crossEntropyWithProbabilities(logits: AnyTensor, target: AnyTensor): AnyTensor {
  expectSameType('crossEntropyWithProbabilities', logits, target);
  return logSoftmax(logits, -1).mul(target).sum(-1).neg();
}

/** max(0, 1 − t·prediction) for targets of ±1, per element. */
export function hinge(prediction: AnyTensor, target: AnyTensor): AnyTensor {
  expectSameType('hinge', prediction, target);
  return prediction.mul(target).neg().add(1).relu();
}

/** Σ p log(p / q) over the last axis for distributions p and q, per example; terms with p = 0 are 0. */
export function klDivergence(p: AnyTensor, q: AnyTensor): AnyTensor {
  expectSameType('klDivergence', p, q);
  const positive: AnyTensor = p.gt(0);
  // Where p = 0 the logarithms are of 1, since the derivative of one of 0 would make NaN of the term's 0.
  const [some, other] = [p, q].map((x): AnyTensor => where(positive, x, 1)) as [AnyTensor, AnyTensor];
  return where(positive, some.mul(some.log().sub(other.log())), 0).sum(-1);
}
