// Metrics as expressions: per example, so that an evaluation can sum them over batches exactly.

import { oneHot, topk } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';

/** 1 where the greatest logit is the label's, else 0: `[.., classes]`, `[..]` → f32 `[..]`. */
export function accuracy(logits: AnyTensor, labels: AnyTensor): AnyTensor {
  return logits.argmax(-1).eq(labels).cast('f32');
}

/** 1 where the label is among the k greatest logits. */
export function topKAccuracy(logits: AnyTensor, labels: AnyTensor, k: number): AnyTensor {
  const { shape } = labels.value.type;
  const hits: AnyTensor = topk(logits, k).indices.eq(labels.reshape([...shape, 1]) as never);
  return hits.any(-1).cast('f32');
}

/** Counts `[actual, predicted]` of a batch: `[N]`, `[N]` → i32 `[classes, classes]`. */
export function confusionMatrix(predicted: AnyTensor, labels: AnyTensor, classes: number): AnyTensor {
  const actual: AnyTensor = oneHot(labels, classes);
  const guessed: AnyTensor = oneHot(predicted, classes);
  return actual.transpose().matmul(guessed).cast('i32');
}
