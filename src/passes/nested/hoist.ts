// Hoisting: work leaves loops where it need not be done step by step.

import type { Node, Value } from '../../ir/graph.ts';
import { builder } from '../../ir/ops/index.ts';
import type { Pass } from '../pass.ts';
import { mapNodes } from '../rewrite.ts';
import { hoistedAhead, hoistedAheadOfWhile } from './ahead.ts';
import { hoistedBehind } from './behind.ts';

export const hoistLoops: Pass = {
  name: 'hoist-loops',
  guarantees:
    'no loop computes anew what all steps share; contractions that wait for no carry, or that no carry waits for, are one',
  needs: 'calls inlined, loops trimmed',
  run: (func) =>
    mapNodes(func, (node) => {
      const b = builder.at(node.source);
      if (node.op === 'while') return hoistedAheadOfWhile(b, node as Node<'while'>) ?? node.results;
      if (node.op !== 'scan') return node.results;
      const ahead = hoistedAhead(b, node as Node<'scan'>) ?? node.results;
      return hoistedBehind(b, scanOf(ahead)) ?? ahead;
    }),
};

const scanOf = (results: readonly Value[]): Node<'scan'> => results[0]!.producer as Node<'scan'>;
