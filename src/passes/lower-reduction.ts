// Reductions: out[index] = ⊕ over reduced axes of an expression, then the group's members on the result. Which loop
// is innermost follows the memory: a reduced axis that steps by one runs in lanes into one accumulator; an outer axis
// that steps by one gets a block of accumulators; a few taps are written out; a long reduction to few results is
// split into partial results, so that its order, and so its rounding, never depends on the number of threads.

import { InternalError } from '../ir/errors.ts';
import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, fixed, flatten, type IndexExpr, multiply, of, unflatten } from '../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  choose,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  type Monoid,
  type Stmt,
} from '../ir/kernel.ts';
import { identityOf } from '../ir/ops/monoid.ts';
import { bytesPerElement, isFloat } from '../ir/types.ts';
import { indicesOf, substituteAxes } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, type LoweringContext, memberStmts } from './group.ts';
import { fewestLanes, laneLoops, vectorLanes } from './lane-loops.ts';
import { contiguousAxis, elementLoops, extentOf, loop, mergeAxes, substituteStmts } from './loops.ts';
import { workOf } from './lower-element.ts';
import { columnBlock, parallelThreshold, partialChunks, partialThreshold } from './schedule.ts';

/** A reduction over explicit axes; `finish` says what happens to each result. */
export interface Reduction {
  readonly domain: readonly Axis[];
  readonly reduced: readonly Axis[];
  readonly monoid: Monoid;
  /** True: the result is the position (i32) of the first best element instead of its value. */
  readonly position: boolean;
  readonly element: Expr;
  /** Statements that use the result; may mention domain axes. */
  finish(result: Expr): Stmt[];
}

export function lowerReduction(context: GroupContext, anchor: Node): KernelBody[] {
  return reductionKernels(context, reductionOf(context, anchor));
}

/** The reduction of a group's anchor, with the group's members after it. */
export function reductionOf(context: LoweringContext, anchor: Node): Reduction {
  const { lowering } = context.table[anchor.op];
  if (lowering.class !== 'reduction') throw new InternalError(`${anchor.op} is no reduction`);
  const domain = context.group.domain.map((extent, i) => axis(`i${i}`, extent));
  const reduced = lowering.extents(anchor as never).map((extent, i) => axis(`r${i}`, extent));
  const index = domain.map(of);
  const none = new Map();
  const s = {
    operand: (position: number, at: readonly IndexExpr[]) => context.at(anchor.operands[position]!, at, none),
  };
  return {
    domain: context.order.map((position) => domain[position]!),
    reduced,
    monoid: lowering.monoid(anchor as never),
    position: lowering.position,
    element: lowering.element(s, index, reduced.map(of), anchor as never),
    finish: (result) => memberStmts(context, index, new Map([[anchor.results[0]!, result]])),
  };
}

/** One kernel, or two where the reduction is long and its results are few. */
export function reductionKernels(context: GroupContext, reduction: Reduction): KernelBody[] {
  const results = extentOf(reduction.domain);
  const length = extentOf(reduction.reduced);
  const flops = results * length * elementWork(reduction.element);
  // Results that share a block of accumulators are one task.
  const tasks = blockAxis(reduction) === null ? results : results / blockWidth(reduction);
  const split = !reduction.position && tasks * 2 < partialChunks && results * length >= partialThreshold;
  const merged = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const outer = merged.merged[0];
  const chunks = split && outer !== undefined ? chunkCount(outer.extent, length) : 1;
  if (chunks === 1) return [{ suffix: '', body: reductionLoops(reduction), flops }];

  const element = substituteAxes(reduction.element, merged.map);
  const chunk = axis('chunk', chunks);
  const within = axis(outer!.name, outer!.extent / chunks);
  const splitElement = substituteAxes(
    element,
    new Map([[outer!, add(multiply(of(chunk), within.extent), of(within))]]),
  );
  const partial = context.scratch('partial', reduction.element.dtype, chunks * results);
  const offset = (at: IndexExpr): IndexExpr =>
    add(
      multiply(at, results),
      flatten(
        reduction.domain.map(of),
        reduction.domain.map((next) => next.extent),
      ),
    );
  const first: Reduction = {
    ...reduction,
    domain: [chunk, ...reduction.domain],
    reduced: [within, ...merged.merged.slice(1)],
    element: splitElement,
    finish: (value) => [{ kind: 'store', buffer: partial, offset: offset(of(chunk)), value }],
  };
  const rest = axis('chunk', chunks);
  const second: Reduction = { ...reduction, reduced: [rest], element: load(partial, offset(of(rest))) };
  return [
    { suffix: '_partial', body: reductionLoops(first), flops },
    { suffix: '', body: reductionLoops(second), flops: chunks * results },
  ];
}

/** A chunk of fewer elements than this costs more to write and read again than it saves. */
const shortestChunk = 64;

/** The largest divisor up to partialChunks; 1 where that would make fewer than eight chunks. */
function chunkCount(extent: number, length: number): number {
  for (let chunks = Math.min(partialChunks, extent, Math.floor(length / shortestChunk)); chunks >= 8; chunks--)
    if (extent % chunks === 0) return chunks;
  return 1;
}

/** Reductions of up to this many elements are written out, so that the lanes run over results. */
const mostUnrolled = 16;

function reductionLoops(reduction: Reduction): Stmt[] {
  const length = extentOf(reduction.reduced);
  const results = extentOf(reduction.domain);
  if (length <= mostUnrolled && results >= 16) return unrolled(reduction);
  const along = blockAxis(reduction);
  return along === null ? inLanes(reduction) : blocked(reduction, along);
}

/** The axis of results along which a block of accumulators runs: the contiguous one, if it is not reduced. */
function blockAxis({ position, element, domain, reduced }: Reduction): Axis | null {
  const innermost = contiguousAxis([element], [...domain, ...reduced]);
  return !position && innermost !== null && domain.includes(innermost) && innermost.extent >= 8 ? innermost : null;
}

function elementWork(element: Expr): number {
  return workOf([{ kind: 'let', local: { name: 'value', dtype: element.dtype, lanes: 1 }, value: element }]);
}

/** A running value (and position) with the statements that begin it, take one element in, and read the result. */
export interface Running {
  begin(): Stmt[];
  take(element: Expr, position: IndexExpr): Stmt[];
  /** The best or combined value. */
  readonly value: Expr;
  /** The value, or its position. */
  readonly result: Expr;
}

export function running(reduction: Reduction): Running {
  const { monoid, element, position } = reduction;
  const dtype = element.dtype;
  const best: Local = { name: position ? 'best' : monoid, dtype, lanes: 1 };
  const bestValue: Expr = { kind: 'local', dtype, local: best };
  const first = literal(dtype, identityOf(monoid, dtype));
  if (!position) {
    return {
      begin: () => [{ kind: 'accumulator', local: best, initial: first }],
      take: (value) => [{ kind: 'accumulate', local: best, monoid, value }],
      value: bestValue,
      result: bestValue,
    };
  }
  const at: Local = { name: 'position', dtype: 'i32', lanes: 1 };
  const atValue: Expr = { kind: 'local', dtype: 'i32', local: at };
  let taken = 0;
  return {
    begin: () => [
      { kind: 'accumulator', local: best, initial: first },
      { kind: 'accumulator', local: at, initial: literal('i32', 0) },
    ],
    take: (value, index) => {
      const suffix = taken++ === 0 ? '' : `_${taken}`;
      const candidate: Local = { name: `value${suffix}`, dtype, lanes: 1 };
      const candidateValue: Expr = { kind: 'local', dtype, local: candidate };
      const better: Local = { name: `better${suffix}`, dtype: 'bool', lanes: 1 };
      const betterValue: Expr = { kind: 'local', dtype: 'bool', local: better };
      return [
        { kind: 'let', local: candidate, value },
        { kind: 'let', local: better, value: isBetter(monoid, candidateValue, bestValue) },
        { kind: 'assign', local: best, value: choose(betterValue, candidateValue, bestValue) },
        { kind: 'assign', local: at, value: choose(betterValue, indexValue(index), atValue) },
      ];
    },
    value: bestValue,
    result: atValue,
  };
}

/** Strictly better, or the first NaN. */
export function isBetter(monoid: Monoid, candidate: Expr, best: Expr): Expr {
  const ordered = apply(monoid === 'max' ? 'gt' : 'lt', candidate, best);
  if (!isFloat(candidate.dtype)) return ordered;
  const firstNaN = apply('and', apply('ne', candidate, candidate), apply('eq', best, best));
  return apply('or', ordered, firstNaN);
}

/** One element of a written-out reduction, and when it counts (null: always). */
interface Tap {
  readonly value: Expr;
  readonly guard: Expr | null;
}

/** Few elements per result: each is a statement, and the loops over results run in lanes. */
function unrolled(reduction: Reduction): Stmt[] {
  const taps = tapsOf(reduction);
  const lane = reduction.domain.at(-1);
  const guards = taps.flatMap(({ guard }) => (guard === null ? [] : [guard]));
  const uniform = lane !== undefined && lane.extent >= fewestLanes && !guards.some((guard) => mentions(guard, lane));
  if (guards.length > 0 && uniform) return insideOrNot(reduction, taps, guards, lane);
  const body = tapStmts(reduction, taps.map(unguarded(reduction)));
  return elementLoops(reduction.domain, body, workOf(body));
}

function tapsOf(reduction: Reduction): Tap[] {
  const extents = reduction.reduced.map((next) => next.extent);
  const identity = identityOf(reduction.monoid, reduction.element.dtype);
  return Array.from({ length: extentOf(reduction.reduced) }, (_, position): Tap => {
    const at = unflatten(fixed(position), extents);
    const value = substituteAxes(reduction.element, new Map(reduction.reduced.map((next, i) => [next, at[i]!])));
    const isGuarded =
      value.kind === 'select' && value.otherwise.kind === 'literal' && Object.is(value.otherwise.value, identity);
    return isGuarded ? { value: value.then, guard: value.condition } : { value, guard: null };
  });
}

const unguarded =
  ({ monoid }: Reduction) =>
  ({ value, guard }: Tap): Expr =>
    guard === null ? value : choose(guard, value, literal(value.dtype, identityOf(monoid, value.dtype)));

function tapStmts(reduction: Reduction, values: readonly Expr[]): Stmt[] {
  const state = running(reduction);
  return [
    ...state.begin(),
    ...values.flatMap((value, position) => state.take(value, fixed(position))),
    ...reduction.finish(state.result),
  ];
}

function mentions(expr: Expr, axis: Axis): boolean {
  return indicesOf(expr).some((index) => index.terms.some(({ atom }) => atom === axis || atom.kind !== 'axis'));
}

/** Where a whole vector of results is inside or outside as one: tests stand outside of the vector loops, and most need none. */
function insideOrNot(reduction: Reduction, taps: readonly Tap[], guards: readonly Expr[], lane: Axis): Stmt[] {
  const inside = guards.reduce((all, guard) => apply('and', all, guard));
  const body = tapStmts(
    reduction,
    taps.map(({ value }) => value),
  );
  const atBorder = reduction.position
    ? [loop(lane, 'vector', tapStmts(reduction, taps.map(unguarded(reduction))))]
    : accumulated(reduction, taps, lane);
  const others = reduction.domain.slice(0, -1);
  const work = extentOf(reduction.domain) * workOf(body);
  return resultLoops(
    others,
    [{ kind: 'if', condition: inside, then: [loop(lane, 'vector', body)], otherwise: atBorder }],
    work,
  );
}

/** Each tap that counts is taken into a row of accumulators. */
function accumulated(reduction: Reduction, taps: readonly Tap[], lane: Axis): Stmt[] {
  const { monoid, element, finish } = reduction;
  const { dtype } = element;
  const row: Buffer = { name: 'accumulators', dtype, size: lane.extent, space: 'stack' };
  const offset = of(lane);
  const identity = literal(dtype, identityOf(monoid, dtype));
  return [
    { kind: 'allocate', buffer: row },
    loop(lane, 'vector', [{ kind: 'store', buffer: row, offset, value: identity }]),
    ...taps.map(({ value, guard }): Stmt => {
      const take = loop(lane, 'vector', [{ kind: 'update', buffer: row, offset, monoid, value }]);
      return guard === null ? take : { kind: 'if', condition: guard, then: [take], otherwise: [] };
    }),
    loop(lane, 'vector', finish(load(row, offset))),
  ];
}

/** The loops over results, parallel where there is enough work, around a body. */
export function resultLoops(axes: readonly Axis[], body: readonly Stmt[], work: number): Stmt[] {
  const parallel = work >= parallelThreshold;
  let nest = [...body];
  for (let i = axes.length - 1; i >= 0; i--) {
    if (axes[i]!.extent !== 1) nest = [loop(axes[i]!, parallel ? 'parallel' : 'serial', nest)];
    else nest = substituteStmts(nest, new Map([[axes[i]!, fixed(0)]]));
  }
  return nest;
}

function reducedLoops(axes: readonly Axis[], body: readonly Stmt[]): Stmt[] {
  return axes.reduceRight<Stmt[]>((nest, next) => [loop(next, 'serial', nest)], [...body]);
}

/** One result at a time: in lanes along the innermost reduced axis, or one element after another for a position. */
function inLanes(reduction: Reduction): Stmt[] {
  const { merged, map } = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const element = substituteAxes(reduction.element, map);
  const work = extentOf(reduction.domain) * extentOf(reduction.reduced) * 2;
  const along = merged[merged.length - 1];
  if (!reduction.position && along !== undefined && along.extent >= vectorLanes) {
    const { monoid } = reduction;
    const { stmts, results } = laneLoops(merged.slice(0, -1), along, [{ monoid, dtype: element.dtype }], (at, take) => [
      take(0, substituteAxes(element, new Map([[along, at]]))),
    ]);
    return resultLoops(reduction.domain, [...stmts, ...reduction.finish(results[0]!)], work);
  }
  const state = running(reduction);
  const position = flatten(
    merged.map(of),
    merged.map((next) => next.extent),
  );
  const body = [
    ...state.begin(),
    ...reducedLoops(merged, state.take(element, position)),
    ...reduction.finish(state.result),
  ];
  return resultLoops(reduction.domain, body, work);
}

/**
 * Columns of a block. From memory, rows of a wide block arrive in longer runs: [200704, 256] is summed in 19 ms with 256
 * columns and in 53 ms with 64, whose accumulators stay in registers and are as fast where the operand is in cache.
 */
function blockWidth({ domain, reduced, element }: Reduction): number {
  const bytes = extentOf(domain) * extentOf(reduced) * bytesPerElement[element.dtype];
  return bytes > secondLevelCache ? 4 * columnBlock : columnBlock;
}

/** Half a megabyte to two on today's cores. */
const secondLevelCache = 2 ** 20;

/** A block of accumulators along a contiguous axis of results; the reduced axes run around it. */
function blocked(reduction: Reduction, along: Axis): Stmt[] {
  const { merged, map } = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const element = substituteAxes(reduction.element, map);
  const others = reduction.domain.filter((next) => next !== along);
  const width = blockWidth(reduction);
  const blocks = Math.floor(along.extent / width);
  const rest = along.extent - blocks * width;
  const work = extentOf(reduction.domain) * extentOf(reduction.reduced) * 2;
  const stmts: Stmt[] = [];
  if (blocks > 0) {
    const block = axis('block', blocks);
    const start = multiply(of(block), width);
    stmts.push(...resultLoops([...others, block], blockBody(reduction, merged, element, along, width, start), work));
  }
  if (rest > 0) {
    const start = fixed(blocks * width);
    stmts.push(...resultLoops(others, blockBody(reduction, merged, element, along, rest, start), work));
  }
  return stmts;
}

function blockBody(
  reduction: Reduction,
  reduced: readonly Axis[],
  element: Expr,
  along: Axis,
  width: number,
  start: IndexExpr,
): Stmt[] {
  const { monoid } = reduction;
  const dtype = element.dtype;
  const accumulators: Buffer = { name: 'accumulators', dtype, size: width, space: 'stack' };
  const lane = axis(along.name, width);
  const here = new Map([[along, add(start, of(lane))]]);
  const identity = literal(dtype, identityOf(monoid, dtype));
  const take: Stmt = {
    kind: 'update',
    buffer: accumulators,
    offset: of(lane),
    monoid,
    value: substituteAxes(element, here),
  };
  return [
    { kind: 'allocate', buffer: accumulators },
    loop(lane, 'vector', [{ kind: 'store', buffer: accumulators, offset: of(lane), value: identity }]),
    ...reducedLoops(reduced, [loop(lane, 'vector', [take])]),
    loop(lane, 'vector', substituteStmts(reduction.finish(load(accumulators, of(lane))), here)),
  ];
}
