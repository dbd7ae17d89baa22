// Operators of the standard that Ashlar does not do, by the reason.

import type { Operator } from '../node-context.ts';

const reasons: Readonly<Record<string, readonly string[]>> = {
  'it works on sequences': [
    'ConcatFromSequence',
    'SequenceAt',
    'SequenceConstruct',
    'SequenceEmpty',
    'SequenceErase',
    'SequenceInsert',
    'SequenceLength',
    'SequenceMap',
    'SplitToSequence',
  ],
  'it works on optional values': ['Optional', 'OptionalGetElement', 'OptionalHasElement'],
  'it works on strings': ['RegexFullMatch', 'StringConcat', 'StringNormalizer', 'StringSplit'],
  'it decodes files of images': ['ImageDecoder'],
  'it differentiates the graph around it': ['ai.onnx.preview.training:Gradient'],
};

export const outOfScopeOperators: Readonly<Record<string, Operator>> = Object.fromEntries(
  Object.entries(reasons).flatMap(([reason, names]) =>
    names.map((name): [string, Operator] => [name, (node) => node.unsupported(reason)]),
  ),
);
