// Common subexpressions: operations with the same operands and attributes become one. Nodes are visited once; a key is
// the operation, the numbers of its operands and its attributes.

import type { Node, Value } from '../ir/graph.ts';
import type { Pass } from './pass.ts';
import { mapNodes } from './rewrite.ts';

export const commonSubexpressions: Pass = {
  name: 'common-subexpressions',
  guarantees: 'no two operations compute the same value',
  needs: 'nothing',
  run: (func) => {
    const numbers = new Map<Value, number>();
    const seen = new Map<string, Node>();
    const numberOf = (value: object): number => {
      const known = numbers.get(value as Value);
      if (known !== undefined) return known;
      numbers.set(value as Value, numbers.size);
      return numbers.size - 1;
    };
    return mapNodes(func, (node) => {
      const key = `${node.op}(${node.operands.map(numberOf).join()})${attrsKey(node, numberOf)}`;
      const found = seen.get(key);
      if (found !== undefined) return found.results;
      seen.set(key, node);
      return node.results;
    });
  },
};

/** Attributes as text; long data and nested functions by identity. */
function attrsKey(node: Node, numberOf: (value: object) => number): string {
  if (node.op === 'constant') {
    const { dtype, shape, data } = (node as Node<'constant'>).attrs;
    const value =
      data.length === 1 ? (Object.is(Number(data[0]), -0) ? '-0' : String(data[0])) : `#${numberOf(data as object)}`;
    return `${dtype}[${shape}]${value}`;
  }
  return JSON.stringify(node.attrs, (_key, value: unknown) => {
    if (typeof value === 'object' && value !== null && 'nodes' in value) return `@${numberOf(value)}`;
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  });
}
