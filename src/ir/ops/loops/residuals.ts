// Residuals: what a step's derivative keeps of the step, so that it need not be computed again. They are the cut of least
// memory between what must not be computed twice and what the derivative reads (the choice of PyTorch's min-cut partitioner,
// https://dev-discuss.pytorch.org/t/min-cut-optimal-recomputation-i-e-activation-checkpointing-with-aotautograd/467).

import { type Node, nodesOf, type Value } from '../../graph.ts';
import type { OpTable } from '../../optable.ts';
import { bytesPerElement, sizeOf } from '../../types.ts';

/** True where an operation costs more than reading its results from memory. */
export function isCostly(table: OpTable, node: Node): boolean {
  const { lowering } = table[node.op];
  return lowering.class !== 'element' || lowering.cost === 'expensive';
}

/** What a derivative reads of what it is the derivative of: `results` are its results, `own` its own parameters. */
export function neededBy(results: readonly Value[], own: ReadonlySet<Value>): readonly Value[] {
  const made = new Set<Value>(own);
  const needed = new Set<Value>();
  for (const { operands, results: values } of nodesOf(results)) {
    if (!operands.some((operand) => made.has(operand))) continue;
    for (const value of values) made.add(value);
    for (const operand of operands) if (!made.has(operand)) needed.add(operand);
  }
  for (const result of results) if (!made.has(result)) needed.add(result);
  return [...needed];
}

export interface ResidualChoice {
  /** What the derivative reads of the step. */
  readonly needed: readonly Value[];
  /** Leaves that are gone when the derivative is computed: carries. */
  readonly gone: ReadonlySet<Value>;
  /** What must not be computed again. */
  readonly isCostly: (node: Node) => boolean;
  /** What is in memory anyway. */
  readonly stored: ReadonlySet<Value>;
}

/** The values to keep: whatever is needed can be computed from them and from leaves that are not gone, without costly operations. */
export function chooseResiduals({ needed, gone, isCostly: costly, stored }: ResidualChoice): Set<Value> {
  const isSource = (value: Value): boolean =>
    value.producer === null ? gone.has(value) : value.producer.operands.length > 0 && costly(value.producer);
  const network = new Network();
  const bytesOf = ({ type }: Value): number => sizeOf(type.shape) * bytesPerElement[type.dtype];
  const nodes = nodesOf(needed, isSource);
  const values = new Set([...needed, ...nodes.flatMap(({ operands, results }) => [...operands, ...results])]);
  for (const value of values) {
    network.vertex(value, stored.has(value) ? 0 : bytesOf(value));
    if (isSource(value)) network.source(value);
    else for (const operand of value.producer?.operands ?? []) network.edge(operand, value);
  }
  for (const value of needed) network.sink(value);
  return network.leastCut();
}

interface Arc {
  readonly to: number;
  capacity: number;
  readonly back: number;
}

/** A flow network with capacities on vertices: each is an arc from its entry to its exit. */
class Network {
  readonly #places = new Map<Value, number>();
  readonly #arcs: Arc[][] = [[], []];

  #arc(from: number, to: number, capacity: number): void {
    const [forward, backward] = [this.#arcs[from]!, this.#arcs[to]!];
    forward.push({ to, capacity, back: backward.length });
    backward.push({ to: from, capacity: 0, back: forward.length - 1 });
  }

  #entry(value: Value): number {
    const known = this.#places.get(value);
    if (known !== undefined) return known;
    this.#places.set(value, this.#arcs.length);
    this.#arcs.push([], []);
    return this.#arcs.length - 2;
  }

  vertex(value: Value, capacity: number): void {
    const entry = this.#entry(value);
    this.#arc(entry, entry + 1, capacity);
  }
  edge(from: Value, to: Value): void {
    this.#arc(this.#entry(from) + 1, this.#entry(to), Number.POSITIVE_INFINITY);
  }
  source(value: Value): void {
    this.#arc(0, this.#entry(value), Number.POSITIVE_INFINITY);
  }
  sink(value: Value): void {
    this.#arc(this.#entry(value) + 1, 1, Number.POSITIVE_INFINITY);
  }

  /** The vertices that separate sources from sinks: a maximal flow by shortest paths (Edmonds and Karp 1972) fills them. */
  leastCut(): Set<Value> {
    for (;;) {
      const path = this.#shortestPath();
      const arcs = this.#arcsTo(1, path);
      if (arcs === null) return this.#cut(path);
      const flow = Math.min(...arcs.map((arc) => arc.capacity));
      for (const arc of arcs) {
        arc.capacity -= flow;
        this.#arcs[arc.to]![arc.back]!.capacity += flow;
      }
    }
  }

  /** Each place that the source reaches, with the arc that reached it and its beginning. */
  #shortestPath(): Map<number, readonly [from: number, arc: Arc] | null> {
    const reached = new Map<number, readonly [number, Arc] | null>([[0, null]]);
    const queue = [0];
    for (const place of queue)
      for (const arc of this.#arcs[place]!)
        if (arc.capacity > 0 && !reached.has(arc.to)) {
          reached.set(arc.to, [place, arc]);
          queue.push(arc.to);
        }
    return reached;
  }

  #arcsTo(end: number, reached: ReadonlyMap<number, readonly [number, Arc] | null>): Arc[] | null {
    if (!reached.has(end)) return null;
    const arcs: Arc[] = [];
    for (let step = reached.get(end); step != null; step = reached.get(step[0])) arcs.push(step[1]);
    return arcs;
  }

  #cut(reached: ReadonlyMap<number, unknown>): Set<Value> {
    const full = [...this.#places].filter(([, entry]) => reached.has(entry) && !reached.has(entry + 1));
    return new Set(full.map(([value]) => value));
  }
}
