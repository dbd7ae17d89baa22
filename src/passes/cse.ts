// Common subexpressions: operations with the same operands and attributes become one. Nodes are visited once; a key is
// the operation, the numbers of its operands and its attributes. Nested functions are the same where they compute the same
// in the same way, whatever their values are called.

import { type Func, type Node, nodesOf, type Value } from '../ir/graph.ts';
import { formatType } from '../ir/types.ts';
import type { Pass } from './pass.ts';
import { mapNodes } from './rewrite.ts';

export const commonSubexpressions: Pass = {
  name: 'common-subexpressions',
  guarantees: 'no two operations compute the same value',
  needs: 'nothing',
  run: (func) => {
    const keys = new Keys();
    const seen = new Map<string, Node>();
    return mapNodes(func, (node) => {
      const key = keys.ofNode(node);
      const found = seen.get(key);
      if (found !== undefined) return found.results;
      seen.set(key, node);
      return node.results;
    });
  },
};

/** For each value that the roots need and that equals an earlier one: that one, where leaves are equal as `leaves` says. */
export function equalValues(roots: readonly Value[], leaves: ReadonlyMap<Value, Value>): Map<Value, Value> {
  const keys = new Keys();
  const seen = new Map<string, Node>();
  const equal = new Map(leaves);
  for (const node of nodesOf(roots)) {
    const key = keys.ofNode(node, (value) => keys.numberOf(equal.get(value as Value) ?? value));
    const found = seen.get(key);
    if (found === undefined) seen.set(key, node);
    else for (const [i, value] of node.results.entries()) equal.set(value, found.results[i]!);
  }
  return equal;
}

/** Texts that are equal where nodes or functions are: values and long data stand in them by identity. */
class Keys {
  readonly #numbers = new Map<object, number>();
  /** One number for all functions of one structure, by its text. */
  readonly #structures = new Map<string, number>();
  readonly #funcs = new Map<Func, number>();

  numberOf(value: object): number {
    const known = this.#numbers.get(value);
    if (known !== undefined) return known;
    this.#numbers.set(value, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  ofNode(node: Node, numberOf = (value: object): number => this.numberOf(value)): string {
    return `${node.op}(${node.operands.map(numberOf).join()})${this.#ofAttrs(node)}`;
  }

  #ofAttrs(node: Node): string {
    if (node.op === 'constant') {
      const { dtype, shape, data } = (node as Node<'constant'>).attrs;
      const value =
        data.length === 1
          ? Object.is(Number(data[0]), -0)
            ? '-0'
            : String(data[0])
          : `#${this.numberOf(data as object)}`;
      return `${dtype}[${shape}]${value}`;
    }
    return JSON.stringify(node.attrs, (_key, value: unknown) => {
      if (typeof value === 'object' && value !== null && 'nodes' in value) return `@${this.#ofFunc(value as Func)}`;
      return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
    });
  }

  #ofFunc(func: Func): number {
    const known = this.#funcs.get(func);
    if (known !== undefined) return known;
    const places = new Map<object, number>();
    const place = (value: object): number => places.get(value)!;
    const define = (value: object): void => void places.set(value, places.size);
    for (const { value } of func.parameters) define(value);
    const nodes = func.nodes.map((node) => {
      const key = this.ofNode(node, place);
      node.results.forEach(define);
      return key;
    });
    const types = func.parameters.map(({ value }) => formatType(value.type));
    const text = [types.join(), ...nodes, func.results.map(({ value }) => place(value)).join()].join(';');
    const number = this.#structures.get(text) ?? this.#structures.size;
    this.#structures.set(text, number);
    this.#funcs.set(func, number);
    return number;
  }
}
