// Losses: one value per example (or per element, where said); reduce them with `.mean()` or `.sum()`.

import { logSoftmax, takeAlong, where } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';

/** (prediction − target)², per element. */
export function squaredError(prediction: AnyTensor, target: AnyTensor): AnyTensor {
  return prediction.sub(target).square();
}

/** |prediction − target|, per element. */
export function absoluteError(prediction: AnyTensor, target: AnyTensor): AnyTensor {
  return prediction.sub(target).abs();
}

/** d²/2 for |d| ≤ δ, else δ(|d| − δ/2), per element. P. J. Huber, Ann. Math. Statist. 35 (1964). */
export function huber(prediction: AnyTensor, target: AnyTensor, delta = 1): AnyTensor {
  const distance: AnyTensor = prediction.sub(target).abs();
  return where(distance.le(delta), distance.square().mul(0.5), distance.sub(delta / 2).mul(delta));
}

/** −t log p − (1 − t) log(1 − p) for probabilities p, per element; logarithms are cut off at −100. */
export function binaryCrossEntropy(probability: AnyTensor, target: AnyTensor): AnyTensor {
  const yes: AnyTensor = probability.log().maximum(-100);
  const no: AnyTensor = probability.neg().add(1).log().maximum(-100);
  return target.mul(yes).add(target.neg().add(1).mul(no)).neg();
}

/** The same from logits z, without overflow: max(z, 0) − z·t + log(1 + e^−|z|), per element. */
export function binaryCrossEntropyWithLogits(logits: AnyTensor, target: AnyTensor): AnyTensor {
  return logits.softplus().sub(logits.mul(target));
}

/**
 * −log softmax(logits)[label] for logits `[.., classes]` and integer labels `[..]`, per example. Labels that are an input of the
 * function are checked at each call; others are clamped to the classes.
 */
export function crossEntropy(logits: AnyTensor, labels: AnyTensor): AnyTensor {
  const { shape } = labels.value.type;
  const picked: AnyTensor = takeAlong(logSoftmax(logits, -1), labels.reshape([...shape, 1]), -1);
  return picked.reshape(shape).neg();
}

/** −Σ target · log softmax(logits) over the last axis, for targets that are distributions, per example. */
export function crossEntropyWithProbabilities(logits: AnyTensor, target: AnyTensor): AnyTensor {
  return logSoftmax(logits, -1).mul(target).sum(-1).neg();
}

/** max(0, 1 − t·prediction) for targets of ±1, per element. */
export function hinge(prediction: AnyTensor, target: AnyTensor): AnyTensor {
  return prediction.mul(target).neg().add(1).relu();
}

/** Σ p log(p / q) over the last axis for distributions p and q, per example; terms with p = 0 are 0. */
export function klDivergence(p: AnyTensor, q: AnyTensor): AnyTensor {
  const positive: AnyTensor = p.gt(0);
  const safe: AnyTensor = where(positive, p, 1);
  return where(positive, safe.mul(safe.log().sub(q.log())), 0).sum(-1);
}
