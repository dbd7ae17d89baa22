// Fusion: which operations share a kernel. Two decisions in linear time. Backwards: which element operations vanish
// into the index expression of their one reader (views always; others into reductions and contractions when each
// element is still computed about once). Forwards, in order of depth: which of the rest join the kernel of their latest
// operand, as an epilogue or a further output, and which wait for their one reader's kernel. An operation only joins
// its latest operand's kernel, so the order of creation stays an order of execution.

import type { Func, Node, Value } from '../ir/graph.ts';
import { axis, of, sameIndex } from '../ir/index-expr.ts';
import { literal } from '../ir/kernel.ts';
import type { ElementContext, OpTable } from '../ir/optable.ts';
import { type Shape, sameShape, sizeOf } from '../ir/types.ts';
import type { Attention } from './attention.ts';
import { chooseInlined, isConstantBuffer, isFree, longestInlinedChain, type Uses, usesOf } from './inlining.ts';
import type { OwnOperand } from './operands.ts';
import { joinsRows, type RowsPay, rowsOf, type Whereabouts } from './row-groups.ts';
import { rowsPay as rowsPayOnCpu } from './schedule.ts';
import type { Source } from './windows.ts';

/** One kernel to be: an optional anchor (reduction, contraction or own nest) and element operations over its domain. */
export interface Group {
  readonly rank: number;
  /** The shape that members are computed over: the anchor's result, or the members' own. */
  readonly domain: Shape;
  readonly anchor: Node | null;
  /** Element operations at the domain's own index, operands before users. */
  readonly members: readonly Node[];
  /** True: no anchor, and members include reductions over the domain's last axis and operations on their results. */
  readonly byRows: boolean;
  /** The values that must be in memory afterwards. */
  readonly stored: readonly Value[];
  /** Where the anchor sums over rows that nothing else reads: how they are computed. */
  readonly attention: Attention | null;
  /** Where the group reads windows of a contraction that nothing else reads: it is computed in the same kernel. */
  readonly source: Source | null;
  /** Where the anchor reads a small value that nothing else reads: what computes it, in every workgroup. */
  readonly operand: OwnOperand | null;
}

export interface FusionPlan {
  readonly groups: readonly Group[];
  /** Nodes that have no kernel: readers compute them at the index they need. */
  readonly inlined: ReadonlySet<Node>;
}

/** A function as it is lowered: which of its operations share a kernel, and the same of the functions nested in it. */
export interface Fused {
  readonly func: Func;
  readonly plan: FusionPlan;
  /** Of a loop's nested function, how many of its first parameters are the same in so many iterations that packing them pays. */
  readonly settled: number;
  /** By the loop or branch. */
  readonly nested: ReadonlyMap<Node, ReadonlyMap<Func, Fused>>;
  /** The same for loops in one kernel (machine.ts); empty where there are none. */
  readonly inPhases: ReadonlyMap<Node, ReadonlyMap<Func, Fused>>;
}

/** Most element operations in one kernel: compilers take more than linear time on longer blocks. */
const mostMembers = 192;

/** `rowsPay`: which rows are worth a group by rows, by their length and their number. */
export function fuse(func: Func, table: OpTable, rowsPay: RowsPay = rowsPayOnCpu): FusionPlan {
  const uses = usesOf(func);
  const inlined = chooseInlined(func, table, uses);
  return { groups: chooseGroups(func, table, inlined, uses, rowsPay), inlined };
}

/** One kernel per operation that moves or computes anything: the measure that fusion is compared with. */
export function withoutFusion(func: Func, table: OpTable): FusionPlan {
  const results = new Set(func.results.map((result) => result.value));
  const inlined = new Set(
    func.nodes.filter((node) => isFree(table, node) && !node.results.some((value) => results.has(value))),
  );
  const groups = func.nodes
    .filter((node) => !inlined.has(node) && !isConstantBuffer(node))
    .map((node, rank): Group => {
      const isElement = table[node.op].lowering.class === 'element';
      return {
        rank,
        domain: node.results[0]!.type.shape,
        anchor: isElement ? null : node,
        members: isElement ? [node] : [],
        byRows: false,
        stored: node.results,
        attention: null,
        source: null,
        operand: null,
      };
    });
  return { groups, inlined };
}

interface OpenGroup {
  readonly rank: number;
  readonly domain: Shape;
  readonly anchor: Node | null;
  readonly members: Node[];
  /** The shape whose last axis is the row, where the group may become one that is computed by rows. */
  readonly rows: Shape | null;
  byRows: boolean;
}

/** A group that a node can join; `byRows`: as a member that only a kernel by rows can compute. */
interface Joining {
  readonly group: OpenGroup;
  readonly byRows: boolean;
}

function chooseGroups(func: Func, table: OpTable, inlined: ReadonlySet<Node>, uses: Uses, rowsPay: RowsPay): Group[] {
  const groups: OpenGroup[] = [];
  const home = new Map<Node, OpenGroup>();
  const latest = new Map<Node, number>();
  const waiting = new Map<Node, Waiting>();
  const isStored = storedAnyway(func, table, inlined, uses);
  // The latest group by the shape of its rows that begins with a reduction over them.
  const rowGroups = new Map<string, OpenGroup>();
  // The latest group of element operations alone by its domain.
  const siblings = new Map<string, OpenGroup>();
  const join = (group: OpenGroup, node: Node): void => {
    for (const { producer } of node.operands) {
      if (producer !== null && waiting.delete(producer)) join(group, producer);
    }
    group.members.push(node);
    home.set(node, group);
  };
  const state: Grouping = { groups, home, latest, waiting, inlined, table };
  for (const node of byDepth(func)) {
    if (isConstantBuffer(node)) continue;
    if (inlined.has(node)) {
      latest.set(node, latestRank(node, home, latest));
      continue;
    }
    const isElement = table[node.op].lowering.class === 'element';
    const found = joinable(node, isElement, state);
    const waits = isElement && waitsForReader(node, table, inlined, uses);
    if (found !== null && !(waits && isRecomputed(node, state, isStored))) {
      found.group.byRows ||= found.byRows;
      join(found.group, node);
      continue;
    }
    const behind = node.operands.map(({ producer }) => (producer && waiting.get(producer)?.chain) ?? 0);
    const chain = 1 + Math.max(0, ...behind);
    if (waits && chain < longestInlinedChain) {
      waiting.set(node, { chain, joins: found?.group ?? null });
      latest.set(node, latestRank(node, home, latest));
      continue;
    }
    const rows = rowsOf(node, isElement, rowsPay);
    const beside = rows === null ? undefined : rowGroups.get(rows.join());
    if (beside !== undefined && joinsLater(node, beside, state)) {
      beside.byRows = true;
      join(beside, node);
      continue;
    }
    const domain = node.results[0]!.type.shape.join();
    const sibling = isElement ? siblings.get(domain) : undefined;
    if (sibling !== undefined && joinsSibling(node, sibling, state)) {
      join(sibling, node);
      continue;
    }
    const group: OpenGroup = {
      rank: groups.length,
      domain: node.results[0]!.type.shape,
      anchor: isElement ? null : node,
      members: [],
      rows,
      byRows: false,
    };
    groups.push(group);
    if (isElement) {
      siblings.set(domain, group);
      join(group, node);
    } else {
      home.set(node, group);
      if (rows !== null) rowGroups.set(rows.join(), group);
    }
  }
  const readBy = groupsThatRead(func, home, inlined, uses);
  return groups.map((group) => closed(group, storedOf(group, readBy, uses)));
}

function closed({ rank, domain, anchor, members, rows, byRows }: OpenGroup, stored: readonly Value[]): Group {
  const alone = { rank, byRows, stored, attention: null, source: null, operand: null };
  if (!byRows) return { ...alone, domain, anchor, members };
  return { ...alone, domain: rows!, anchor: null, members: nodesOf({ anchor, members }) };
}

function nodesOf({ anchor, members }: Pick<OpenGroup, 'anchor' | 'members'>): readonly Node[] {
  return anchor === null ? members : [anchor, ...members];
}

/** An element operation that waits for its one reader. */
interface Waiting {
  /** The length of the chain that waits with it. */
  readonly chain: number;
  /** The group that it could have joined, and still joins if its reader does. */
  readonly joins: OpenGroup | null;
}

/**
 * Values that are in memory, or cost nothing, whatever kernel reads them: parameters, constants, results, and what a
 * kernel of its own or a moved index reads.
 */
function storedAnyway(func: Func, table: OpTable, inlined: ReadonlySet<Node>, uses: Uses): (value: Value) => boolean {
  const stored = new Set<Value>();
  for (const node of func.nodes) {
    for (const value of node.results) {
      const leaves = (reader: Node): boolean => inlined.has(reader) || table[reader.op].lowering.class !== 'element';
      const moved = inlined.has(node) && node.operands.every(isStored);
      const kept = !inlined.has(node) && (uses.results.has(value) || (uses.readers.get(value) ?? []).some(leaves));
      if (moved || kept || isConstantBuffer(node)) stored.add(value);
    }
  }
  function isStored(value: Value): boolean {
    return value.producer === null || stored.has(value);
  }
  return isStored;
}

/**
 * Most values in memory from which a chain of cheap operations is computed again: storing its result and loading it touches
 * as many.
 */
const mostRecomputedReads = 2;

/**
 * True where storing the result for its one reader would cost more than computing it there: a cheap operation on what is in
 * memory anyway, or the end of a chain of such, as 1 − y² is for tanh's gradient.
 */
function isRecomputed(node: Node, { table, inlined, waiting }: Grouping, isStored: (value: Value) => boolean): boolean {
  const { lowering } = table[node.op];
  if (lowering.class !== 'element' || lowering.cost !== 'cheap') return false;
  if (node.operands.every(isStored)) return true;
  const reads = new Set(readsOf(node, (producer) => inlined.has(producer) || waiting.has(producer)));
  return reads.size <= mostRecomputedReads && [...reads].every(isStored);
}

/**
 * True where a single element operation reads the value at its own index: the operation is then computed in that
 * reader's kernel, wherever that turns out to be, instead of opening a kernel of its own.
 */
function waitsForReader(node: Node, table: OpTable, inlined: ReadonlySet<Node>, uses: Uses): boolean {
  const value = node.results[0]!;
  const [reader, ...others] = uses.readers.get(value) ?? [];
  if (reader === undefined || others.length > 0 || uses.results.has(value) || inlined.has(reader)) return false;
  return sameShape(reader.results[0]!.type.shape, value.type.shape) && readsOwnIndex(reader, table);
}

function latestRank(node: Node, home: ReadonlyMap<Node, OpenGroup>, latest: ReadonlyMap<Node, number>): number {
  return Math.max(-1, ...node.operands.map((operand) => rankOf(operand, home, latest)));
}

function rankOf(value: Value, home: ReadonlyMap<Node, OpenGroup>, latest: ReadonlyMap<Node, number>): number {
  const { producer } = value;
  if (producer === null) return -1;
  return home.get(producer)?.rank ?? latest.get(producer) ?? -1;
}

/** What is decided so far, while groups are open. */
interface Grouping {
  readonly groups: readonly OpenGroup[];
  readonly home: ReadonlyMap<Node, OpenGroup>;
  readonly latest: ReadonlyMap<Node, number>;
  readonly waiting: ReadonlyMap<Node, Waiting>;
  readonly inlined: ReadonlySet<Node>;
  readonly table: OpTable;
}

/** The group of the latest operand, if the node can be computed there: at the group's own index, or in its row. */
function joinable(node: Node, isElement: boolean, state: Grouping): Joining | null {
  const { groups, home, latest, waiting, inlined, table } = state;
  const rank = latestRank(node, home, latest);
  const group = groups[rank];
  if (group === undefined || group.members.length >= mostMembers) return null;
  const whereabouts = (value: Value): Whereabouts => {
    const { producer } = value;
    const here = producer !== null && (home.get(producer) === group || waiting.get(producer)?.joins === group);
    return here ? 'here' : rankOf(value, home, latest) === rank ? 'elsewhere' : 'before';
  };
  if (isElement && !group.byRows && joinsDomain(node, group, table, whereabouts)) return { group, byRows: false };
  if (group.rows === null || !joinsRows(node, group.rows, table, inlined, whereabouts)) return null;
  return { group, byRows: true };
}

/**
 * True where a node whose operands are all earlier than a group may as well be computed there: over the same rows, whose
 * statistics are likely to be used with it. Gradients of normalisations begin in several places that meet later.
 */
function joinsLater(node: Node, group: OpenGroup, { home, latest, inlined, table }: Grouping): boolean {
  if (latestRank(node, home, latest) >= group.rank || group.members.length >= mostMembers) return false;
  return joinsRows(node, group.rows!, table, inlined, () => 'before');
}

/** Elements so few that starting another kernel takes longer than computing them. */
const fewElements = 4096;

/**
 * True where a node whose operands are all earlier than a group over the same domain may as well be computed there: it reads
 * what the group reads (both moments of a gradient), or is small.
 */
function joinsSibling(node: Node, group: OpenGroup, { home, latest, waiting, inlined }: Grouping): boolean {
  const isEarlier = latestRank(node, home, latest) < group.rank;
  if (!isEarlier || group.byRows || group.members.length >= mostMembers) return false;
  if (sizeOf(group.domain) <= fewElements) return true;
  const passes = (producer: Node): boolean => inlined.has(producer) || waiting.has(producer);
  const reads = new Set(group.members.flatMap((member) => readsOf(member, passes)));
  return readsOf(node, passes).some((value) => reads.has(value));
}

/** What a node reads, through producers that are computed wherever they are read. */
function readsOf(node: Node, passes: (producer: Node) => boolean): Value[] {
  return node.operands.flatMap((operand) => {
    const { producer } = operand;
    return producer !== null && passes(producer) ? readsOf(producer, passes) : [operand];
  });
}

function joinsDomain(
  node: Node,
  group: OpenGroup,
  table: OpTable,
  whereabouts: (value: Value) => Whereabouts,
): boolean {
  if (!sameShape(group.domain, node.results[0]!.type.shape)) return false;
  const anchorClass = group.anchor === null ? null : table[group.anchor.op].lowering.class;
  if (anchorClass === 'nest' || anchorClass === 'loop') return false;
  // Only an operation that reads its operands at its own index may read a value of the group it joins.
  return readsOwnIndex(node, table) && node.operands.every((operand) => whereabouts(operand) !== 'elsewhere');
}

/** True where the rule reads every operand at the result's own index: it moves nothing. */
function readsOwnIndex(node: Node, table: OpTable): boolean {
  const { lowering } = table[node.op];
  if (lowering.class !== 'element') return false;
  const index = node.results[0]!.type.shape.map((extent, position) => of(axis(`i${position}`, extent)));
  let own = true;
  const probe: ElementContext = {
    operand(position, indices) {
      own &&= indices.length === index.length && indices.every((at, i) => sameIndex(at, index[i]!));
      return literal(node.operands[position]!.type.dtype, 0);
    },
  };
  lowering.element(probe, index, node as never);
  return own;
}

/** The group whose kernel reads what a node computes: its own, or that of an inlined node's readers; null: several. */
function groupsThatRead(
  func: Func,
  home: ReadonlyMap<Node, OpenGroup>,
  inlined: ReadonlySet<Node>,
  uses: Uses,
): (reader: Node) => OpenGroup | null {
  const readBy = new Map<Node, OpenGroup | null>();
  const groupOf = (node: Node): OpenGroup | null => home.get(node) ?? readBy.get(node) ?? null;
  for (let i = func.nodes.length - 1; i >= 0; i--) {
    const node = func.nodes[i]!;
    if (!inlined.has(node)) continue;
    const groups = new Set((uses.readers.get(node.results[0]!) ?? []).map(groupOf));
    readBy.set(node, groups.size === 1 ? [...groups][0]! : null);
  }
  return groupOf;
}

function storedOf(group: OpenGroup, readBy: (reader: Node) => OpenGroup | null, uses: Uses): Value[] {
  return nodesOf(group)
    .flatMap((node) => node.results)
    .filter((value) => {
      const leaves = (uses.readers.get(value) ?? []).some((reader) => readBy(reader) !== group);
      return leaves || uses.results.has(value);
    });
}

/** Nodes by the length of the longest path that leads to them; within a depth in the function's order. */
function byDepth(func: Func): Node[] {
  const depth = new Map<Node, number>();
  const levels: Node[][] = [];
  for (const node of func.nodes) {
    let level = 0;
    for (const { producer } of node.operands) if (producer !== null) level = Math.max(level, depth.get(producer)! + 1);
    depth.set(node, level);
    const bucket = levels[level];
    if (bucket === undefined) levels[level] = [node];
    else bucket.push(node);
  }
  return levels.flat();
}
