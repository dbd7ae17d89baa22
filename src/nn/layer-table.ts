// The table that papers show of a network: of each of its parts the result's shape, its parameters and its work. It is read off
// the expressions, so it is that of what is compiled.

import { type Node, nodesOf, type Value } from '../ir/graph.ts';
import type { Axis } from '../ir/index-expr.ts';
import { opTable } from '../ir/ops/index.ts';
import { type Shape, sizeOf } from '../ir/types.ts';
import { expectTensor, type Tensor } from '../lang/tensor.ts';
import type { Layer } from './layers.ts';

export interface LayerRow {
  readonly name: string;
  /** Of the part's result. */
  readonly shape: Shape;
  /** Elements of its trainable variables; those that an earlier part has too count there. */
  readonly parameters: number;
  /** Of its convolutions and matrix products, those that meet padding included, as papers count; of the shape's whole batch. */
  readonly multiplyAdds: number;
}

/** The rows of parts that follow one another, by name, for an input `x`. Throws UserError where a part gives no tensor. */
// biome-ignore lint/suspicious/noExplicitAny: a tensor of any shape, as layers take it
export function layerTable(x: Tensor<any, 'f32'>, parts: Readonly<Record<string, Layer>>): LayerRow[] {
  const counted = new Set<unknown>();
  let value = x;
  return Object.entries(parts).map(([name, part]) => {
    const before = nodesOf([value.value]);
    const result: unknown = part(value);
    expectTensor(`layerTable, ${name}`, result, 'a tensor as its result');
    value = result as typeof x;
    const own = part.variables.filter((variable) => variable.trainable && !counted.has(variable));
    for (const variable of own) counted.add(variable);
    return {
      name,
      shape: (value.value as Value).type.shape,
      parameters: own.reduce((sum, { type }) => sum + sizeOf(type.shape), 0),
      multiplyAdds: workOf(value.value, before),
    };
  });
}

function workOf(value: Value, before: readonly Node[]): number {
  const earlier = new Set(before);
  const added = nodesOf([value]).filter((node) => !earlier.has(node));
  return added.reduce((sum, node) => sum + multiplyAdds(node), 0);
}

function multiplyAdds(node: Node): number {
  const { lowering } = opTable[node.op];
  if (lowering.class !== 'contraction') return 0;
  const { batch, rows, columns, inner } = lowering.form(node as never);
  return [...batch, ...rows, ...columns, ...inner].reduce((product, { extent }: Axis) => product * extent, 1);
}
