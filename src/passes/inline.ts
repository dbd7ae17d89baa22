// Inlining: every call becomes the nodes of its callee, and so does a function with derivatives of its own: by now they have been taken.

import type { Node } from '../ir/graph.ts';
import { inlineFunc } from '../ir/inline.ts';
import type { Pass } from './pass.ts';
import { mapNodes } from './rewrite.ts';

export const inlineCalls: Pass = {
  name: 'inline-calls',
  guarantees: 'no call is left, and no function with derivatives of its own',
  needs: 'nothing',
  run: (func) =>
    mapNodes(func, (node) => {
      if (node.op !== 'call' && node.op !== 'custom') return node.results;
      return inlineFunc((node as Node<'call' | 'custom'>).attrs.callee, node.operands);
    }),
};
