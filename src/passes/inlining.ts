// Which element operations have no kernel: they vanish into the index expression of what reads them. Views always; others
// when one kernel reads them and each element is still computed about once.

import type { Func, Node, Value } from '../ir/graph.ts';
import { literal } from '../ir/kernel.ts';
import type { ContractionForm, OpTable } from '../ir/optable.ts';
import { bytesPerElement, sameShape, sizeOf } from '../ir/types.ts';
import { splatOf } from './patterns.ts';

/** Longest chain of inlined operations, so that expressions stay readable and recursion bounded. */
export const longestInlinedChain = 48;
/** Most cheap operations on indices that every reader computes for itself. */
const mostIndexOperations = 4;

/** A constant of several different elements lives in memory; one that fills its shape is a literal. */
export function isConstantBuffer(node: Node): boolean {
  return node.op === 'constant' && (node as Node<'constant'>).attrs.data.length !== 1;
}

export function isFree(table: OpTable, node: Node): boolean {
  const { lowering } = table[node.op];
  return lowering.class === 'element' && lowering.cost === 'free' && !isConstantBuffer(node);
}

export interface Uses {
  readonly readers: ReadonlyMap<Value, readonly Node[]>;
  readonly results: ReadonlySet<Value>;
}

export function usesOf(func: Func): Uses {
  const readers = new Map<Value, Node[]>();
  for (const node of func.nodes) {
    for (const operand of new Set(node.operands)) {
      const list = readers.get(operand);
      if (list === undefined) readers.set(operand, [node]);
      else list.push(node);
    }
  }
  return { readers, results: new Set(func.results.map((result) => result.value)) };
}

/** How an inlined value is finally read: by one kernel node, evaluating about `evaluations` elements; null: by several. */
interface Reading {
  readonly reader: Node;
  readonly evaluations: number;
  readonly chain: number;
}

export function chooseInlined(func: Func, table: OpTable, uses: Uses): Set<Node> {
  const inlined = new Set<Node>();
  const readings = new Map<Node, Reading | null>();
  const ofIndices = madeOfIndices(func, table);
  const widenings = [...wideningsOfWeights(func, table), ...centredBytes(func, table, uses)];
  const always = new Set([...ofIndices, ...widenings, ...maskings(func, table, uses, ofIndices)]);
  for (let i = func.nodes.length - 1; i >= 0; i--) {
    const node = func.nodes[i]!;
    const { lowering } = table[node.op];
    const value = node.results[0]!;
    if (lowering.class !== 'element' || uses.results.has(value) || isConstantBuffer(node)) continue;
    const reading = readingOf(node, table, uses, inlined, readings);
    if (
      lowering.cost === 'free' || always.has(node)
        ? (reading?.chain ?? 0) < longestInlinedChain
        : worthInlining(node, table, reading, uses, inlined)
    ) {
      inlined.add(node);
      readings.set(node, reading);
    }
  }
  return inlined;
}

/**
 * A few cheap operations on indices, literals and single integers, such as a causal mask or one that begins at a given place: computed
 * again they cost less than a load, and where a kernel has the condition itself it need not read what that hides.
 */
function madeOfIndices(func: Func, table: OpTable): Set<Node> {
  const operations = new Map<Node, number>();
  const isIndices = (producer: Node | null): boolean => producer !== null && operations.has(producer);
  for (const node of func.nodes) {
    const { lowering } = table[node.op];
    if (lowering.class !== 'element' || lowering.cost === 'expensive' || isConstantBuffer(node)) continue;
    const counts = node.operands.map((operand) => {
      if (isIndices(operand.producer)) return operations.get(operand.producer!)!;
      return isSingleInteger(operand) ? 0 : Number.POSITIVE_INFINITY;
    });
    const count = counts.reduce((sum, next) => sum + next, lowering.cost === 'free' ? 0 : 1);
    // A single number that depends on given ones is computed once, beside others of its kind.
    const isSingle =
      sizeOf(node.results[0]!.type.shape) === 1 && node.operands.some(({ producer }) => !isIndices(producer));
    if (count <= mostIndexOperations && !isSingle) operations.set(node, count);
  }
  return new Set(operations.keys());
}

const isSingleInteger = ({ type: { dtype, shape } }: Value): boolean => dtype === 'i32' && sizeOf(shape) === 1;

/**
 * Selections between what is in memory anyway and a literal, by a condition of indices: readers select for themselves, so that what is
 * hidden is not read, and nothing is copied.
 */
function maskings(func: Func, table: OpTable, uses: Uses, ofIndices: ReadonlySet<Node>): Set<Node> {
  const isStored = (value: Value): boolean => value.producer === null || uses.results.has(value);
  const selects = ({ op }: Node): boolean => ['element', 'reduction', 'contraction'].includes(table[op].lowering.class);
  return new Set(
    func.nodes.filter(({ op, operands: [condition, kept, hidden], results: [value] }) => {
      const isMask = op === 'select' && condition!.producer !== null && ofIndices.has(condition!.producer);
      return isMask && splatOf(hidden) !== null && isStored(kept!) && (uses.readers.get(value!) ?? []).every(selects);
    }),
  );
}

/** Casts of weights that are stored in fewer bytes: whoever reads them widens them, and they are never wide in memory. */
function wideningsOfWeights(func: Func, table: OpTable): Set<Node> {
  const stored = new Set<Value>(func.parameters.filter(({ role }) => role === 'weight').map(({ value }) => value));
  const casts = new Set<Node>();
  for (const node of func.nodes) {
    const [operand] = node.operands;
    const isView = isFree(table, node) && node.operands.length === 1 && stored.has(operand!);
    if (isConstantBuffer(node) || isView) stored.add(node.results[0]!);
    else if (node.op === 'cast' && stored.has(operand!) && isNarrower(operand!, node.results[0]!)) casts.add(node);
  }
  return casts;
}

/**
 * Bytes as i32, less a zero point, that contractions alone read: they read the bytes. In memory they would take four times the room,
 * and contractions of bytes (lower-bytes.ts) would not know them.
 */
function centredBytes(func: Func, table: OpTable, uses: Uses): Set<Node> {
  const isWidened = ({ op, operands, results }: Node): boolean =>
    op === 'cast' && results[0]!.type.dtype === 'i32' && ['i8', 'u8'].includes(operands[0]!.type.dtype);
  const isCentred = ({ op, operands: [x, zero] }: Node): boolean =>
    op === 'sub' && splatOf(zero) !== null && x!.producer !== null && isWidened(x!.producer);
  const found = new Set<Node>();
  for (let i = func.nodes.length - 1; i >= 0; i--) {
    const node = func.nodes[i]!;
    const readers = uses.readers.get(node.results[0]!) ?? [];
    const isRead = (reader: Node): boolean => found.has(reader) || table[reader.op].lowering.class === 'contraction';
    if ((isWidened(node) || isCentred(node)) && readers.every(isRead)) found.add(node);
  }
  return found;
}

function isNarrower({ type: { dtype: from } }: Value, { type: { dtype: to } }: Value): boolean {
  return (from === 'f16' || from === 'i8' || from === 'u8') && bytesPerElement[from] < bytesPerElement[to];
}

function readingOf(
  node: Node,
  table: OpTable,
  uses: Uses,
  inlined: ReadonlySet<Node>,
  readings: ReadonlyMap<Node, Reading | null>,
): Reading | null {
  let found: Reading | null = null;
  for (const reader of uses.readers.get(node.results[0]!) ?? []) {
    const reading = inlined.has(reader)
      ? readings.get(reader)!
      : { reader, evaluations: evaluationsOf(table, reader, node), chain: 0 };
    if (reading === null || (found !== null && found.reader !== reading.reader)) return null;
    const previous: number = found?.evaluations ?? 0;
    found = { reader: reading.reader, evaluations: previous + reading.evaluations, chain: reading.chain + 1 };
  }
  return found;
}

/** How many elements of `operand` a kernel node computes when it reads it in place. */
function evaluationsOf(table: OpTable, reader: Node, operand: Node): number {
  const { lowering } = table[reader.op];
  const domain = sizeOf(reader.results[0]!.type.shape);
  switch (lowering.class) {
    case 'element':
      return domain;
    case 'reduction':
      return domain * sizeOf(lowering.extents(reader as never));
    case 'contraction': {
      const form = lowering.form(reader as never);
      const product = (axes: readonly { extent: number }[]): number =>
        axes.reduce((size, axis) => size * axis.extent, 1);
      const free = readByLhs(form, reader, operand) ? form.rows : form.columns;
      return product(form.batch) * product(free) * product(form.inner);
    }
    case 'nest':
    case 'loop':
    case 'expanded':
      return sizeOf(operand.results[0]!.type.shape) * 2;
  }
}

function readByLhs(form: ContractionForm, reader: Node, operand: Node): boolean {
  let found = false;
  form.lhs({
    operand(position) {
      const value = reader.operands[position]!;
      found ||= value.producer === operand;
      return literal(value.type.dtype, 0);
    },
  });
  return found;
}

function worthInlining(
  node: Node,
  table: OpTable,
  reading: Reading | null,
  uses: Uses,
  inlined: ReadonlySet<Node>,
): boolean {
  if (reading === null || reading.chain >= longestInlinedChain) return false;
  const { reader, evaluations } = reading;
  const size = sizeOf(node.results[0]!.type.shape);
  const readerClass = table[reader.op].lowering.class;
  if (readerClass === 'nest' || readerClass === 'loop' || readerClass === 'expanded') return false;
  if (evaluations > size) return false;
  if (readerClass === 'element') {
    // Read at its own index it joins the reader's group as a named value; only a moved reading has to be inlined.
    return (uses.readers.get(node.results[0]!) ?? []).every((direct) => inlined.has(direct));
  }
  if (readerClass === 'contraction') return !hasEpilogueHome(node, table);
  return true;
}

/** True where some operand is made by an anchor of the same shape: joining it as an epilogue costs nothing at all. */
function hasEpilogueHome(node: Node, table: OpTable): boolean {
  return node.operands.some((operand) => {
    const producer = operand.producer;
    if (producer === null || !sameShape(operand.type.shape, node.results[0]!.type.shape)) return false;
    const { lowering } = table[producer.op];
    return lowering.class !== 'loop' && (lowering.class !== 'element' || lowering.cost !== 'free');
  });
}
