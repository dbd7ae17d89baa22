// What an operator sees of its node: inputs as typed tensors, attributes, and what is known of values at import.

import { UserError } from '../ir/errors.ts';
import { nestedFuncs, nodesOf, type Value } from '../ir/graph.ts';
import { builder } from '../ir/ops/index.ts';
import type { Shape } from '../ir/types.ts';
import type { Key } from '../lang/random.ts';
import { type AnyTensor, Tensor } from '../lang/tensor.ts';
import { tracedIn } from '../lang/trace.ts';
import { constantOf } from './constants.ts';
import { carrierOf, type ElementType, elementTypeOf } from './element-types.ts';
import type { KnownValues } from './known.ts';
import type { AttributeProto, GraphProto, TensorProto } from './schema.ts';
import { shown } from './shown.ts';
import { elementsFrom, type KnownTensor } from './tensors.ts';
import { Unsupported } from './unsupported.ts';

/** A value of the ONNX graph: its element type there, and the tensor of the dtype that carries it. */
export interface OnnxValue {
  readonly type: ElementType;
  readonly tensor: AnyTensor;
}

/** Makes the results of a node, one for each output or for the first of them. */
export type Operator = (node: NodeContext) => OnnxValue | readonly OnnxValue[];

/** What the import offers to nodes. */
export interface ImportServices {
  readonly known: KnownValues;
  /** Inputs of the model by the value that stands for them. */
  readonly inputNames: ReadonlyMap<Value, string>;
  readTensor(proto: TensorProto): KnownTensor;
  /**
   * Adds the nodes of a subgraph, which sees the values around its node. Values of its inputs → of its outputs. `step` is the number of a
   * loop's step, so that random numbers are others in each; null where it has none, undefined for what runs once.
   */
  addSubgraph(
    graph: GraphProto,
    inputs: readonly OnnxValue[],
    step: Tensor<[], 'i32'> | null | undefined,
  ): readonly OnnxValue[];
  /** A key of random numbers for one node; by a seed where the node has one. Throws Unsupported where the import has none. */
  drawKey(seed: number | null): Key;
  /** What `make` makes, or null where something in it is not supported, which is forgotten. */
  attempt<T>(make: () => T): T | null;
}

export class NodeContext {
  readonly operator: string;
  /** The version of the node's operator set. */
  readonly opset: number;
  /** One for each input of the node; null where it is left out. */
  readonly inputs: readonly (OnnxValue | null)[];
  /** Names of the node's outputs; '' for one that nobody reads. */
  readonly outputs: readonly string[];
  readonly services: ImportServices;
  readonly #attributes: ReadonlyMap<string, AttributeProto>;

  constructor(
    node: { readonly operator: string; readonly opset: number; readonly outputs: readonly string[] },
    inputs: readonly (OnnxValue | null)[],
    attributes: ReadonlyMap<string, AttributeProto>,
    services: ImportServices,
  ) {
    this.operator = node.operator;
    this.opset = node.opset;
    this.outputs = node.outputs;
    this.inputs = inputs;
    this.services = services;
    this.#attributes = attributes;
  }

  /** An input that must be there. */
  input(position: number): OnnxValue {
    return this.inputs[position] ?? this.invalid(`input ${position} expected`);
  }
  optional(position: number): OnnxValue | null {
    return this.inputs[position] ?? null;
  }
  /** All inputs, at least one, none of which may be left out. */
  allInputs(): readonly [OnnxValue, ...OnnxValue[]] {
    return [this.input(0), ...this.inputs.slice(1).map((_, i) => this.input(i + 1))];
  }
  /** True where somebody may read the output. */
  wants(position: number): boolean {
    return (this.outputs[position] ?? '') !== '';
  }

  has(name: string): boolean {
    return this.#attributes.has(name);
  }
  /** An attribute as a whole number; int64 beyond 2^53 become the nearest number. */
  int(name: string, otherwise?: number): number {
    return this.#attribute(name, otherwise, ({ i }) => (i === undefined ? undefined : nearest(i)));
  }
  /** An attribute that may be any int64. */
  bigint(name: string): bigint {
    return this.#attribute(name, undefined, ({ i }) => i);
  }
  bigints(name: string): readonly bigint[] {
    return this.#attribute(name, undefined, ({ ints }) => ints);
  }
  float(name: string, otherwise?: number): number {
    return this.#attribute(name, otherwise, ({ f }) => f);
  }
  string(name: string, otherwise?: string): string {
    return this.#attribute(name, otherwise, ({ s }) => (s === undefined ? undefined : new TextDecoder().decode(s)));
  }
  ints(name: string, otherwise?: readonly number[]): readonly number[] {
    return this.#attribute(name, otherwise, ({ ints }) => ints.map(nearest));
  }
  floats(name: string, otherwise?: readonly number[]): readonly number[] {
    return this.#attribute(name, otherwise, ({ floats }) => floats);
  }
  strings(name: string, otherwise?: readonly string[]): readonly string[] {
    return this.#attribute(name, otherwise, ({ strings }) => strings.map((bytes) => new TextDecoder().decode(bytes)));
  }
  /** A tensor attribute as a constant. */
  tensor(name: string): OnnxValue {
    return this.constant(this.services.readTensor(this.#attribute(name, undefined, ({ t }) => t)));
  }
  graph(name: string): GraphProto {
    return this.#attribute(name, undefined, ({ g }) => g);
  }

  #attribute<T>(name: string, otherwise: T | undefined, read: (attribute: AttributeProto) => T | undefined): T {
    const attribute = this.#attributes.get(name);
    const found = attribute === undefined ? otherwise : read(attribute);
    return (
      found ??
      this.invalid(attribute === undefined ? `attribute ${name} expected` : `attribute ${name} is of another type`)
    );
  }

  /** A tensor whose elements are known, as a value. */
  constant(tensor: KnownTensor): OnnxValue {
    return constantOf(tensor, this.services.known);
  }
  /** Numbers as a constant; whole numbers where the type is one of integers. */
  numbers(type: ElementType, shape: Shape, numbers: ArrayLike<number>): OnnxValue {
    const elements = elementsFrom(type, numbers);
    return this.constant({ type, shape, elements: () => elements });
  }
  /** One number in every element. */
  fill(type: ElementType, shape: Shape, number: number): OnnxValue {
    return { type, tensor: new Tensor(builder.fill({ dtype: carrierOf[type], shape }, number)) };
  }

  /** The elements of a value where they are known at import, row-major; null where they depend on the model's inputs. */
  known(value: OnnxValue): ArrayLike<number> | null {
    const known = this.services.known.get(value.tensor.value);
    return known === null ? null : known.exact === null ? known.array.data : Array.from(known.exact, nearest);
  }
  /** The elements of a value that shapes depend on. `what` names it. Throws Unsupported where they are not known. */
  expectKnown(value: OnnxValue, what: string): number[] {
    const elements = this.known(value);
    if (elements !== null) return Array.from(elements);
    const nodes = nodesOf([value.tensor.value]);
    const leaves = [value.tensor.value, ...nodes.flatMap(({ operands }) => operands)];
    const names = [...new Set(leaves.flatMap((leaf) => this.services.inputNames.get(leaf) ?? []))];
    const isOfLoop = nodes.some((node) => nestedFuncs(node).length > 0) || leaves.some((leaf) => tracedIn(leaf));
    const otherwise = isOfLoop ? 'is what a loop or branch computes' : 'is too large to evaluate';
    const reason = names.length === 0 ? otherwise : `depends on input ${names.map(shown).join(', ')}`;
    throw new Unsupported(`${what} must be known at import, it ${reason}`, names);
  }

  /** Results of a subgraph attribute, whose nodes are added here. `step`: see `addSubgraph`. */
  subgraph(name: string, inputs: readonly OnnxValue[] = [], step?: Tensor<[], 'i32'> | null): readonly OnnxValue[] {
    return this.services.addSubgraph(this.graph(name), inputs, step);
  }

  /** The key of the random numbers that the node draws: by its seed, a word, where it has one. */
  drawKey(seed: number | null): Key {
    return this.services.drawKey(seed);
  }

  /** What `make` makes, or null where something in it is not supported: another form may be. */
  attempt<T>(make: () => T): T | null {
    return this.services.attempt(make);
  }

  /** The node is right, but Ashlar cannot express it. */
  unsupported(reason: string): never {
    throw new Unsupported(reason);
  }
  /** The node breaks the standard. */
  invalid(problem: string): never {
    throw new UserError(problem);
  }
}

/** A tensor with the type of what it was made from. */
export function like(original: OnnxValue, tensor: AnyTensor): OnnxValue {
  return { type: original.type, tensor };
}

/** A tensor with a type; default the one that its dtype is first of. */
export function typed(tensor: AnyTensor, type: ElementType = elementTypeOf[tensor.value.type.dtype]): OnnxValue {
  return { type, tensor };
}

export function shapeOf(value: OnnxValue): Shape {
  return value.tensor.value.type.shape;
}

function nearest(value: bigint): number {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(value > limit ? limit : value < -limit ? -limit : value);
}
