// Inlining: every call becomes the nodes of its callee.

import type { Node } from '../ir/graph.ts';
import { inlineFunc } from '../ir/inline.ts';
import type { Pass } from './pass.ts';
import { mapNodes } from './rewrite.ts';

export const inlineCalls: Pass = {
  name: 'inline-calls',
  guarantees: 'no call is left',
  needs: 'nothing',
  run: (func) =>
    mapNodes(func, (node) =>
      node.op === 'call' ? inlineFunc((node as Node<'call'>).attrs.callee, node.operands) : node.results,
    ),
};
