// What leaves a scan behind it: contractions that only outputs or sums over all steps need. A gradient of weights, acc + uᵀ v in
// every step, becomes one contraction over steps and batch of the stacked u and v; an output v W becomes one product of the
// stacked v. What stacks are needed for anyway (the gradient of a bias) goes with them.

import { batchValues } from '../../ir/batch.ts';
import type { Builder } from '../../ir/builder.ts';
import { closeOver } from '../../ir/closure.ts';
import { type Node, nodesOf, type Value } from '../../ir/graph.ts';
import { inlineFunc } from '../../ir/inline.ts';
import { repeated } from '../../ir/ops/batching.ts';
import { fresh, nestedFunc } from '../../ir/ops/loops/nested.ts';
import { madeBy } from '../patterns.ts';
import { isBatched, isContraction, isVarying, kindsOf } from './ahead.ts';

/** A carry that only adds up: next = carry + Σ terms. */
interface Sum {
  readonly carry: number;
  readonly terms: readonly Value[];
}

export function hoistedBehind(b: Builder, node: Node<'scan'>): readonly Value[] | null {
  const { body, carries, consts, residuals } = node.attrs;
  if (residuals !== 'keep') return null;
  const results = body.results.map(({ value }) => value);
  const parameters = body.parameters.map(({ value }) => value);
  const sums = sumsOf(node);
  const outputs = results.slice(carries);
  const steady = results.slice(0, carries).filter((_, i) => !sums.some(({ carry }) => carry === i));
  const inLoop = new Set(nodesOf(steady));
  const terms = new Set(sums.flatMap((sum) => sum.terms));
  const kinds = kindsOf(body, consts, carries);
  const isWhole = (value: Value): boolean => !terms.has(value) || isSummed(value, kinds);
  const late = [...new Set([...outputs, ...terms])];
  const moved = movedNodes(late, inLoop, isWhole);
  const isMoved = ({ producer }: Value): boolean => producer !== null && moved.has(producer);
  const leaving = late.filter(isMoved);
  if (leaving.length === 0) return null;

  const behind = closeOver(
    'behind',
    [],
    leaving.map((value, i) => ({ name: `r${i}`, role: 'output', value })),
    (value) => !isMoved(value),
  );
  const isStacked = behind.captured.map((value) => parameters.indexOf(value) < 0 || isCarry(parameters.indexOf(value)));
  const stacks = behind.captured.filter((_, i) => isStacked[i]);
  const rest = sums.map((sum) => ({ ...sum, terms: sum.terms.filter((term) => !isMoved(term)) }));
  const gone = new Set(rest.filter(({ terms }) => terms.length === 0).map(({ carry }) => carry));
  const carried = Array.from({ length: carries }, (_, i) => i).filter((i) => !gone.has(i));
  const nextOf = (i: number): Value => {
    const sum = rest.find(({ carry }) => carry === i);
    return sum === undefined
      ? results[i]!
      : sum.terms.reduce((total, term) => b.add(total, term), parameters[consts + i]!);
  };
  const staying = outputs.filter((value) => !isMoved(value));
  const given = [...carried.map(nextOf), ...staying, ...stacks];
  const isKept = (i: number): boolean => !isCarry(i) || !gone.has(i - consts);
  const made =
    given.length === 0
      ? []
      : b.scan(...node.operands.filter((_, i) => isKept(i)), {
          ...node.attrs,
          body: nestedFunc(
            body.name,
            parameters.filter((_, i) => isKept(i)),
            given,
          ),
          carries: carried.length,
        });
  const after = madeBehind();
  const leftAs = new Map(leaving.map((value, i) => [value, after[i]!]));
  return node.results.map((_, i) => {
    if (i >= carries) return leftAs.get(results[i]!) ?? made[carried.length + staying.indexOf(results[i]!)]!;
    const last = gone.has(i) ? node.operands[consts + i]! : made[carried.indexOf(i)]!;
    const added = sums.find(({ carry }) => carry === i)?.terms.filter(isMoved) ?? [];
    return added.reduce((total, term) => b.add(total, sumOverSteps(b, leftAs.get(term)!)), last);
  });

  function isCarry(i: number): boolean {
    return i >= consts && i < consts + carries;
  }

  /** What leaves, for all steps at once. */
  function madeBehind(): Value[] {
    const stacked = made.slice(carried.length + staying.length);
    const sequences = new Map<Value, Value>();
    const operands = behind.captured.map((value, i) => {
      const at = parameters.indexOf(value);
      if (at >= 0 && at < consts) return node.operands[at]!;
      const slice = fresh(value.name ?? 'slice', value.type);
      sequences.set(slice, isStacked[i]! ? stacked.shift()! : node.operands[at]!);
      return slice;
    });
    const found = batchValues(inlineFunc(behind.func, operands), sequences, node.attrs.length);
    return found.map(({ value, batched }) => (batched ? value : repeated(b, value, node.attrs.length)));
  }
}

/** Carries that are read by nothing but the additions that make their next values. */
function sumsOf({ attrs }: Node<'scan'>): Sum[] {
  const { body, consts, carries } = attrs;
  const readers = new Map<Value, number>();
  const read = (value: Value): void => void readers.set(value, (readers.get(value) ?? 0) + 1);
  for (const { operands } of body.nodes) operands.forEach(read);
  for (const { value } of body.results) read(value);
  return Array.from({ length: carries }, (_, carry): Sum | null => {
    const own = body.parameters[consts + carry]!.value;
    const leaves: Value[] = [];
    const pending = [body.results[carry]!.value];
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      const sum = readers.get(value) === 1 ? madeBy(value, 'add') : null;
      if (sum === null) leaves.push(value);
      else pending.push(...sum.operands);
    }
    const terms = leaves.filter((value) => value !== own);
    return readers.get(own) === 1 && terms.length === leaves.length - 1 && terms.length > 0 ? { carry, terms } : null;
  }).filter((sum) => sum !== null);
}

/** Contractions that nothing in the loop needs, what is made of them, and sums of what is stacked for them. */
function movedNodes(late: readonly Value[], inLoop: ReadonlySet<Node>, isWhole: (value: Value) => boolean): Set<Node> {
  const moved = new Set<Node>();
  const after = nodesOf(late).filter((node) => !inLoop.has(node));
  const follows = ({ operands }: Node): boolean =>
    operands.some(({ producer }) => producer !== null && moved.has(producer));
  const grow = (isSeed: (node: Node) => boolean): void => {
    for (const node of after) if (isSeed(node) || follows(node)) moved.add(node);
  };
  // A value whose way out has no batches keeps all of its way in the loop.
  const isFree = (value: Value): boolean =>
    isWhole(value) && nodesOf([value], ({ producer }) => inLoop.has(producer!)).every(isBatched);
  const free = new Set(late.filter(isFree));
  const reached = new Set(nodesOf([...free]));
  const held = new Set(nodesOf(late.filter((value) => !free.has(value))));
  const mayMove = (node: Node): boolean => reached.has(node) && !held.has(node);
  grow((node) => isContraction(node) && mayMove(node));
  const stacked = new Set([...moved].flatMap(({ operands }) => operands));
  grow((node) => node.op === 'reduce' && mayMove(node) && node.operands.every((operand) => stacked.has(operand)));
  return moved;
}

/** What a value is a view of. */
function viewed(value: Value): Node | null {
  const { producer } = value;
  return producer?.op === 'transpose' || producer?.op === 'reshape' ? viewed(producer.operands[0]!) : producer;
}

/** True for a term whose sum over all steps needs no term of its own for each: one contraction or reduction, or a view of it. */
function isSummed(term: Value, kinds: ReturnType<typeof kindsOf>): boolean {
  const node = viewed(term);
  if (node?.op === 'reduce') return (node as Node<'reduce'>).attrs.kind === 'sum';
  return node?.op === 'dot' && node.operands.every((operand) => isVarying(kinds.get(operand)));
}

/** Σ over the first axis; of a contraction batched along it, one that contracts it as well. */
function sumOverSteps(b: Builder, value: Value): Value {
  const dot = madeBy(value, 'dot');
  if (dot !== null && dot.attrs.batch[0][0] === 0 && dot.attrs.batch[1][0] === 0) {
    const { contract, batch } = dot.attrs;
    return b.dot(dot.operands[0]!, dot.operands[1]!, {
      contract: [
        [0, ...contract[0]],
        [0, ...contract[1]],
      ],
      batch: [batch[0].slice(1), batch[1].slice(1)],
    });
  }
  const turned = madeBy(value, 'transpose');
  if (turned !== null && turned.attrs.permutation[0] === 0) {
    const permutation = turned.attrs.permutation.slice(1).map((axis) => axis - 1);
    return b.transpose(sumOverSteps(b, turned.operands[0]!), { permutation });
  }
  const reshaped = madeBy(value, 'reshape');
  if (reshaped !== null && reshaped.operands[0]!.type.shape[0] === value.type.shape[0])
    return b.reshape(sumOverSteps(b, reshaped.operands[0]!), { shape: value.type.shape.slice(1) });
  const reduced = madeBy(value, 'reduce');
  if (reduced !== null && reduced.attrs.kind === 'sum' && !reduced.attrs.axes.includes(0))
    return b.reduce(reduced.operands[0]!, { kind: 'sum', axes: [0, ...reduced.attrs.axes] });
  return b.reduce(value, { kind: 'sum', axes: [0] });
}
