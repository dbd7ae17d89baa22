// The Graph: functions of tensor operations in SSA form. Values and nodes are immutable; a pass builds a new
// function. A compilable computation is a Func whose parameters are inputs, persistent state or weights, and whose results
// are outputs or the new values of states (updates); nested functions (of call, scan, while and cond) are Funcs too.

import type { SourcePosition } from './errors.ts';
import type { OpAttrs, OpName } from './opattrs.ts';
import type { TensorType } from './types.ts';

let made = 0;

/** How many values there are so far: those of a lower order were made before now. */
export function valuesMade(): number {
  return made;
}

/** One tensor in SSA form: a result of a node, or (producer null) a function's parameter. */
export class Value {
  readonly type: TensorType;
  /** The node that makes it; null for a parameter. */
  readonly producer: Node | null;
  /** Which result of the producer. */
  readonly index: number;
  /** The user's name, kept through the passes for messages and emitted code; null if none was given. */
  readonly name: string | null;
  /** Values in the order of their making: what a function made while it was traced came after what it found. */
  readonly order: number = made++;
  constructor(type: TensorType, producer: Node | null, index: number, name: string | null) {
    this.type = type;
    this.producer = producer;
    this.index = index;
    this.name = name;
  }
}

export interface Node<K extends OpName = OpName> {
  readonly op: K;
  readonly operands: readonly Value[];
  readonly attrs: OpAttrs[K];
  readonly results: readonly Value[];
  readonly source: SourcePosition | null;
}

/** An input comes with every call, a state lives from call to call, a weight is given once and never changes. */
export type ParameterRole = 'input' | 'state' | 'weight';

export interface Parameter {
  readonly name: string;
  readonly role: ParameterRole;
  readonly value: Value;
}

export interface Result {
  /** An output's name, or for an update the name of the state it replaces. */
  readonly name: string;
  readonly role: 'output' | 'update';
  readonly value: Value;
}

export interface Func {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly results: readonly Result[];
  /** Every node that a result needs, operands before users. */
  readonly nodes: readonly Node[];
}

/** Makes a parameter with its value. */
export function parameter(name: string, type: TensorType, role: ParameterRole = 'input'): Parameter {
  return { name, role, value: new Value(type, null, 0, name) };
}

/** A function from its results: collects the nodes they need in a stable topological order, without recursion. */
export function makeFunc(name: string, parameters: readonly Parameter[], results: readonly Result[]): Func {
  return { name, parameters, results, nodes: nodesOf(results.map((result) => result.value)) };
}

/**
 * Every node that the values need, operands before users, in depth-first order of first need; what `isGiven` is a leaf,
 * whatever made it.
 */
export function nodesOf(roots: readonly Value[], isGiven: (value: Value) => boolean = () => false): Node[] {
  const done = new Set<Node>();
  const order: Node[] = [];
  const stack: { node: Node; next: number }[] = [];
  const need = (value: Value): void => {
    const { producer } = value;
    if (producer === null || done.has(producer) || isGiven(value)) return;
    done.add(producer);
    stack.push({ node: producer, next: 0 });
  };
  for (const root of roots) {
    need(root);
    while (stack.length > 0) {
      const frame = stack[stack.length - 1]!;
      if (frame.next < frame.node.operands.length) need(frame.node.operands[frame.next++]!);
      else {
        order.push(frame.node);
        stack.pop();
      }
    }
  }
  return order;
}

const isFunc = (value: unknown): value is Func =>
  typeof value === 'object' && value !== null && 'parameters' in value && 'nodes' in value;

/** The functions among a node's attributes, in order. */
export function nestedFuncs(node: Node): Func[] {
  return Object.values(node.attrs).filter(isFunc);
}

/** A node's attributes with other functions in them; the same object where `replace` gives the same functions. */
export function withNestedFuncs<K extends OpName>(attrs: OpAttrs[K], replace: (func: Func) => Func): OpAttrs[K] {
  const entries = Object.entries(attrs as object);
  const replaced = entries.map(([name, value]) => [name, isFunc(value) ? replace(value) : value] as const);
  return replaced.every(([, value], i) => value === entries[i]![1]) ? attrs : (Object.fromEntries(replaced) as never);
}
