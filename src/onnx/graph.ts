// Nodes of an ONNX graph in order, each lowered by its operator to expressions. Subgraphs see the names around them; functions of the
// model are lowered where they are called, with names of their own.

import { UserError } from '../ir/errors.ts';
import type { Value } from '../ir/graph.ts';
import { foldIn, type Key } from '../lang/random.ts';
import { withSource } from '../lang/source.ts';
import type { KnownValues } from './known.ts';
import { type ImportServices, NodeContext, type OnnxValue } from './node-context.ts';
import { operators } from './operators/index.ts';
import type { AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetId, TensorProto } from './schema.ts';
import { plain, shown } from './shown.ts';
import type { KnownTensor } from './tensors.ts';
import { Unsupported, type UnsupportedNode } from './unsupported.ts';

/** Nodes that an import lowers at most, bodies of loops and functions counted each time: a file cannot ask for more work than that. */
const mostNodes = 100_000;
/** Functions and subgraphs inside each other. */
const deepestCalls = 64;

/** The domain of the standard's own operators has two spellings. */
const standardDomain = (domain: string): string => (domain === 'ai.onnx' ? '' : domain);

/** The versions of operator sets by domain. */
export type Opsets = ReadonlyMap<string, number>;

export function opsetsOf(list: readonly OperatorSetId[]): Opsets {
  return new Map(list.map(({ domain, version }) => [standardDomain(domain ?? ''), Number(version ?? 0n)]));
}

/** A name's value; 'unsupported' where its node, or one that it needs, has no lowering. */
type Named = OnnxValue | 'unsupported';

/** Names of a graph, around them those of the graphs that it stands in. */
class Scope {
  readonly #names = new Map<string, Named>();
  readonly #outer: Scope | null;
  constructor(outer: Scope | null) {
    this.#outer = outer;
  }
  find(name: string): Named | undefined {
    return this.#names.get(name) ?? this.#outer?.find(name);
  }
  has(name: string): boolean {
    return this.#names.has(name);
  }
  define(name: string, value: Named): void {
    this.#names.set(name, value);
  }
}

/** What a list of nodes is read with. */
interface Surroundings {
  readonly scope: Scope;
  readonly opsets: Opsets;
  /** In a function's body: the attributes of the calling node. */
  readonly attributes: ReadonlyMap<string, AttributeProto> | null;
  /** Where keys of random numbers come from; null where the import has no seed, or a step no number. */
  readonly key: Key | null;
  /** What is put before names of nodes in messages. */
  readonly path: string;
  readonly depth: number;
}

export interface Importer {
  readonly known: KnownValues;
  readonly inputNames: ReadonlyMap<Value, string>;
  readonly functions: ReadonlyMap<string, FunctionProto>;
  /** Where keys of random numbers come from; null where no seed is given. */
  readonly key: Key | null;
  readTensor(proto: TensorProto): KnownTensor;
  /** An initializer of the model's graph or of a subgraph. */
  initializer(tensor: KnownTensor, name: string): OnnxValue;
}

/** The key of a function of the model: what a node names it by. */
export function functionKey(
  domain: string | undefined,
  name: string | undefined,
  overload: string | undefined,
): string {
  return JSON.stringify([standardDomain(domain ?? ''), name ?? '', overload ?? '']);
}

export class GraphReader {
  readonly unsupported: UnsupportedNode[] = [];
  /** Inputs of the model whose values would have to be known. */
  readonly wantedInputs = new Set<string>();
  readonly #importer: Importer;
  #nodes = 0;
  /** Nodes that have drawn random numbers without a seed of their own. */
  #draws = 0;

  constructor(importer: Importer) {
    this.#importer = importer;
  }

  /** Lowers the model's graph. Values of its outputs in their order, undefined where they need something unsupported. */
  readModel(graph: GraphProto, opsets: Opsets, inputs: ReadonlyMap<string, OnnxValue>): (OnnxValue | undefined)[] {
    const scope = new Scope(null);
    for (const [name, value] of inputs) scope.define(name, value);
    return this.#graph(graph, {
      scope,
      opsets,
      attributes: null,
      key: this.#importer.key,
      path: '',
      depth: 0,
    });
  }

  #graph(graph: GraphProto, around: Surroundings): (OnnxValue | undefined)[] {
    if (graph.sparseInitializers.length > 0) throw new UserError('sparse initializers are not supported');
    for (const proto of graph.initializers)
      this.#define(around.scope, proto.name ?? '', this.#initializer(proto, around.path));
    this.#nodeList(
      graph.nodes,
      graph.outputs.map(({ name }) => name ?? ''),
      around,
    );
    return graph.outputs.map(({ name }) => this.#result(around.scope, name ?? ''));
  }

  #initializer(proto: TensorProto, path: string): Named {
    try {
      return this.#importer.initializer(this.#importer.readTensor(proto), proto.name ?? '');
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.unsupported.push({ node: `${path}${proto.name ?? ''}`, operator: 'initializer', reason: error.message });
      return 'unsupported';
    }
  }

  #result(scope: Scope, name: string): OnnxValue | undefined {
    const value = scope.find(name);
    if (value === undefined) throw new UserError(`output ${shown(name)} is made by no node`);
    return value === 'unsupported' ? undefined : value;
  }

  /** Single assignment: a name is given once in a scope. */
  #define(scope: Scope, name: string, value: Named): void {
    if (name === '') return;
    if (scope.has(name)) throw new UserError(`the name ${shown(name)} is given twice`);
    scope.define(name, value);
  }

  #nodeList(nodes: readonly NodeProto[], results: readonly string[], around: Surroundings): void {
    const needed = neededNodes(nodes, results);
    nodes.forEach((node, i) => {
      if (needed.has(node)) this.#node(node, i, around);
    });
  }

  #node(node: NodeProto, position: number, around: Surroundings): void {
    if (++this.#nodes > mostNodes)
      throw new UserError(`the model has more than ${mostNodes} nodes, functions and loops written out`);
    const name = `${around.path}${node.name || node.outputs[0] || `#${position}`}`;
    const operator = node.operator ?? '';
    const inputs = node.inputs.map((input) => {
      if (input === '') return null;
      return (
        around.scope.find(input) ??
        fail(name, operator, `input ${shown(input)} is made by no node before it: a cycle, or a missing initializer`)
      );
    });
    const define = (values: readonly Named[]): void => {
      node.outputs.forEach((output, i) => {
        this.#define(around.scope, output, values[i] ?? 'unsupported');
      });
    };
    if (inputs.includes('unsupported')) {
      define([]);
      return;
    }
    const values = this.#lowered(node, name, inputs as (OnnxValue | null)[], around);
    const missing =
      values === null ? undefined : node.outputs.find((output, i) => output !== '' && values[i] === undefined);
    if (missing !== undefined) {
      this.#refuse(name, operator, `output ${shown(missing)} is not computed`);
    }
    define(values ?? []);
  }

  #refuse(node: string, operator: string, reason: string): void {
    this.unsupported.push({ node, operator, reason });
  }

  /** The results of a node, or null where it is not supported, which is noted. */
  #lowered(
    node: NodeProto,
    name: string,
    inputs: readonly (OnnxValue | null)[],
    around: Surroundings,
  ): readonly OnnxValue[] | null {
    const domain = standardDomain(node.domain ?? '');
    const operator = node.operator ?? '';
    const attributes = attributesOf(node, around.attributes);
    const called = this.#importer.functions.get(functionKey(domain, operator, node.overload));
    try {
      if (called !== undefined) return this.#call(called, name, inputs, attributes, around);
      const key = domain === '' ? operator : `${domain}:${operator}`;
      const lower = Object.hasOwn(operators, key) ? operators[key]! : null;
      if (lower === null) {
        const inDomain = domain === '' ? '' : ` in domain ${shown(domain)}`;
        throw new Unsupported(`there is no such operator${inDomain}`);
      }
      const opset =
        around.opsets.get(domain) ?? fail(name, operator, `the model names no version of domain ${shown(domain)}`);
      const context = new NodeContext(
        { operator, opset, outputs: node.outputs },
        inputs,
        attributes,
        this.#services(name, around),
      );
      const source = { file: `onnx:${plain(operator)}:${plain(name)}`, line: 0, column: 0 };
      return withSource(source, () => {
        const made = lower(context);
        return Array.isArray(made) ? (made as readonly OnnxValue[]) : [made as OnnxValue];
      });
    } catch (error) {
      if (error instanceof Unsupported) {
        this.#refuse(name, operator, error.message);
        for (const input of error.inputs) this.wantedInputs.add(input);
        return null;
      }
      if (error instanceof UserError && !(error instanceof NodeError)) return fail(name, operator, error.message);
      throw error;
    }
  }

  #call(
    called: FunctionProto,
    name: string,
    inputs: readonly (OnnxValue | null)[],
    attributes: ReadonlyMap<string, AttributeProto>,
    around: Surroundings,
  ): OnnxValue[] | null {
    const depth = deeper(around);
    const scope = new Scope(null);
    called.inputs.forEach((input, i) => {
      const value = inputs[i];
      if (value !== null && value !== undefined) this.#define(scope, input, value);
    });
    const given = new Map(called.attributeDefaults.map((attribute) => [attribute.name ?? '', attribute]));
    for (const [key, attribute] of attributes) given.set(key, attribute);
    const opsets = new Map([...around.opsets, ...opsetsOf(called.opsets)]);
    const before = this.unsupported.length;
    this.#nodeList(called.nodes, called.outputs, {
      scope,
      opsets,
      attributes: given,
      key: around.key,
      path: `${name}/`,
      depth,
    });
    const results = called.outputs.map((output) => this.#result(scope, output));
    return this.unsupported.length > before ? null : (results as OnnxValue[]);
  }

  #attempt<T>(make: () => T): T | null {
    const noted = this.unsupported.length;
    const wanted = new Set(this.wantedInputs);
    try {
      return make();
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.unsupported.length = noted;
      for (const input of this.wantedInputs) if (!wanted.has(input)) this.wantedInputs.delete(input);
      return null;
    }
  }

  #services(name: string, around: Surroundings): ImportServices {
    const { known, inputNames, readTensor } = this.#importer;
    return {
      known,
      inputNames,
      readTensor,
      addSubgraph: (graph, inputs, step) => {
        const scope = new Scope(around.scope);
        graph.inputs.forEach((input, i) => {
          if (inputs[i] === undefined)
            throw new UserError(`subgraph input ${shown(input.name ?? '')} is given no value`);
          this.#define(scope, input.name ?? '', inputs[i]);
        });
        const key =
          step === undefined || around.key === null ? around.key : step === null ? null : foldIn(around.key, step);
        const results = this.#graph(graph, { ...around, scope, key, path: `${name}/`, depth: deeper(around) });
        if (results.includes(undefined)) throw new Unsupported('its subgraph has nodes that are not supported');
        return results as OnnxValue[];
      },
      attempt: (make) => this.#attempt(make),
      drawKey: (seed) => {
        if (this.#importer.key === null)
          throw new Unsupported(
            'it draws random numbers: give the import a seed, a number or the name of an input that says it',
          );
        if (around.key === null) throw new Unsupported('it draws random numbers in a step that has no number');
        // By their own seed nodes draw alike, without one each by its number.
        return seed === null ? foldIn(foldIn(around.key, 0), this.#draws++) : foldIn(foldIn(around.key, 1), seed);
      },
    };
  }
}

function deeper({ depth }: Surroundings): number {
  if (depth >= deepestCalls)
    throw new UserError(`functions and subgraphs call each other more than ${deepestCalls} deep`);
  return depth + 1;
}

/** An error that names its node already. */
class NodeError extends UserError {}

function fail(name: string, operator: string, problem: string): never {
  throw new NodeError(`onnx node ${shown(name)} (${plain(operator)}): ${problem}`);
}

/** A node's attributes; in a function's body those that stand for the caller's are the caller's. */
function attributesOf(
  node: NodeProto,
  caller: ReadonlyMap<string, AttributeProto> | null,
): ReadonlyMap<string, AttributeProto> {
  const found = new Map<string, AttributeProto>();
  for (const attribute of node.attributes) {
    const { reference } = attribute;
    const meant = reference ? caller?.get(reference) : attribute;
    if (meant !== undefined) found.set(attribute.name ?? '', meant);
  }
  return found;
}

/** The nodes that results need, subgraphs' reading of outer names counted. */
function neededNodes(nodes: readonly NodeProto[], results: readonly string[]): ReadonlySet<NodeProto> {
  const names = new Set(results);
  const needed = new Set<NodeProto>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!node.outputs.some((output) => output !== '' && names.has(output))) continue;
    needed.add(node);
    for (const name of namesRead(node)) names.add(name);
  }
  return needed;
}

/** Names that a node or its subgraphs read: a superset, since those that a subgraph makes itself are among them. */
function namesRead(node: NodeProto): string[] {
  const names: string[] = [];
  const pending: NodeProto[] = [node];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    names.push(...next.inputs);
    for (const { g, graphs } of next.attributes) {
      for (const graph of g === undefined ? graphs : [g, ...graphs]) {
        pending.push(...graph.nodes);
        names.push(...graph.outputs.map(({ name }) => name ?? ''));
      }
    }
  }
  return names;
}
