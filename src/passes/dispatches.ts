// How many kernels a loop of the graph takes on a device where each iteration has dispatches of its own.

import { type Func, type Node, nestedFuncs } from '../ir/graph.ts';
import type { Fused } from './fuse.ts';
import { assumedIterations } from './schedule-loops.ts';

/** Kernels of a loop, each as often as it runs at most, with the gates that decide (codegen/wgsl/gates.ts). */
export function dispatchesOf(fused: Fused, node: Node): number {
  const inside = (func: Func): number => kernelsOf(fused.nested.get(node)!.get(func)!);
  const each = nestedFuncs(node).map(inside);
  switch (node.op) {
    case 'scan':
      return (node as Node<'scan'>).attrs.length * each[0]!;
    case 'while':
      return ((node as Node<'while'>).attrs.limit ?? assumedIterations) * (each[0]! + each[1]! + 1);
    default:
      return Math.max(...each) + 2;
  }
}

function kernelsOf(fused: Fused): number {
  const isNested = (node: Node | null): node is Node => node !== null && fused.nested.has(node);
  return fused.plan.groups.reduce((sum, { anchor }) => sum + (isNested(anchor) ? dispatchesOf(fused, anchor) : 1), 0);
}
