// What a model needs and Ashlar lacks. Lowering a node throws Unsupported; the import goes on, so that one error names every such node.

import { LimitationError } from '../ir/errors.ts';

/** Thrown by operators; the import adds the node. `inputs` are those of the model whose values would have to be known. */
export class Unsupported extends Error {
  readonly inputs: readonly string[];
  constructor(reason: string, inputs: readonly string[] = []) {
    super(reason);
    this.inputs = inputs;
  }
}

export interface UnsupportedNode {
  /** The node's name in the file; its first output where it has none. */
  readonly node: string;
  readonly operator: string;
  readonly reason: string;
}

/** A model with nodes that Ashlar cannot express: all of them. */
export class UnsupportedModelError extends LimitationError {
  readonly nodes: readonly UnsupportedNode[];
  /** Inputs of the model that shapes depend on: given as `constants`, their nodes could be imported. */
  readonly inputs: readonly string[];
  constructor(message: string, nodes: readonly UnsupportedNode[], inputs: readonly string[]) {
    super(message);
    this.name = 'UnsupportedModelError';
    this.nodes = nodes;
    this.inputs = inputs;
  }
}
