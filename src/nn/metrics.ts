// Metrics as expressions: per example, so that an evaluation can sum them over batches exactly.

import { sameShape } from '../ir/types.ts';
import { refuse } from '../lang/checks.ts';
import { oneHot, topk } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';
import { expectLabels } from './expect.ts';

/** 1 where the greatest logit is the label's, else 0: `[.., classes]`, `[..]` → f32 `[..]`. */
export function accuracy(logits: AnyTensor, labels: AnyTensor): AnyTensor {
  expectLabels('accuracy', logits, labels);
  return logits.argmax(-1).eq(labels.cast('i32')).cast('f32');
}

/** 1 where the label is among the k greatest logits. */
export function topKAccuracy(logits: AnyTensor, labels: AnyTensor, k: number): AnyTensor {
  expectLabels('topKAccuracy', logits, labels);
  const column: AnyTensor = labels.cast('i32').reshape([...labels.value.type.shape, 1]);
  const hits: AnyTensor = topk(logits, k).indices.eq(column);
  return hits.any(-1).cast('f32');
}

/** Counts `[actual, predicted]` of a batch: `[N]`, `[N]` → i32 `[classes, classes]`. */
export function confusionMatrix(predicted: AnyTensor, labels: AnyTensor, classes: number): AnyTensor {
  if (predicted.rank !== 1 || !sameShape(predicted.value.type.shape, labels.value.type.shape))
    refuse('confusionMatrix', [predicted, labels], 'predictions [N] and labels [N] of one length expected');
  const actual: AnyTensor = oneHot(labels, classes);
  const guessed: AnyTensor = oneHot(predicted, classes);
  return actual.transpose().matmul(guessed).cast('i32');
}
