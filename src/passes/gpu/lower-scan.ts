// Running results along a long axis on a GPU. A workgroup takes a chunk of a line; each of its invocations walks a run of
// neighbours twice, once for what the run comes to and once, knowing what stands before it, for the results. What earlier
// chunks come to is a kernel of its own before. The order depends on the shapes alone.

import type { Node } from '../../ir/graph.ts';
import {
  type Axis,
  add,
  axis,
  boundsOf,
  fixed,
  flatten,
  type IndexExpr,
  multiply,
  of,
  subtract,
} from '../../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  choose,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  localValue,
  type Monoid,
  type Stmt,
} from '../../ir/kernel.ts';
import { identityOf } from '../../ir/ops/monoid.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import { extentOf, loop, substituteStmts } from '../loops.ts';
import { elementsOf } from '../lower-nest.ts';
import type { Reduction } from '../lower-reduction.ts';
import type { GpuContext } from './candidates.ts';
import { isLess, limited, named, namedIndices, within, workgroups } from './grid.ts';
import { reductionKernels } from './lower-reduction.ts';
import { type GpuTarget, scanSchedule } from './schedule.ts';

/** A line's elements in the order in which they are combined. */
interface Scan {
  readonly lines: readonly Axis[];
  readonly length: number;
  readonly monoid: Monoid;
  readonly exclusive: boolean;
  readonly result: Buffer;
  element(at: IndexExpr): Expr;
  offset(at: IndexExpr): IndexExpr;
}

/** Null where lines are short or so many that each can be the business of one invocation. */
export function lowerScan(context: GpuContext, anchor: Node<'cumulative'>, target: GpuTarget): KernelBody[] | null {
  const scan = scanOf(context, anchor);
  const lines = extentOf(scan.lines);
  const schedule = scanSchedule(lines, scan.length, target);
  if (schedule === null) return null;
  const { invocations, run } = schedule;
  const chunk = axis('chunk', Math.ceil(scan.length / (invocations * run)));
  const flops = elementsOf(anchor);
  if (chunk.extent === 1) return [{ suffix: '', body: chunks(scan, invocations, run, chunk, null), flops: 2 * flops }];
  const { dtype } = scan.result;
  const totals = context.scratch('totals', dtype, lines * chunk.extent);
  const before = reductionKernels(context, totalsOf(scan, chunk, invocations * run, totals), target);
  const suffixed = before.map((kernel) => ({ ...kernel, suffix: `_totals${kernel.suffix}` }));
  return [...suffixed, { suffix: '', body: chunks(scan, invocations, run, chunk, totals), flops: 2 * flops }];
}

function scanOf(context: LoweringContext, { attrs, operands, results }: Node<'cumulative'>): Scan {
  const [result] = results;
  const { shape } = result!.type;
  const axes = shape.map((extent, i) => axis(`i${i}`, extent));
  const length = shape[attrs.axis]!;
  const indexAt = (at: IndexExpr): IndexExpr[] => {
    const place = attrs.reverse ? subtract(fixed(length - 1), at) : at;
    return axes.map((next, i) => (i === attrs.axis ? place : of(next)));
  };
  return {
    lines: axes.filter((_, i) => i !== attrs.axis),
    length,
    monoid: attrs.kind as Monoid,
    exclusive: attrs.exclusive,
    result: context.bufferFor(result!),
    element: (at) => context.at(operands[0]!, indexAt(at), new Map()),
    offset: (at) => flatten(indexAt(at), shape),
  };
}

/** `[lines, chunks]`: what each chunk comes to. */
function totalsOf(scan: Scan, chunk: Axis, size: number, totals: Buffer): Reduction {
  const inChunk = axis('r', size);
  const at = add(multiply(of(chunk), size), of(inChunk));
  const none = literal(totals.dtype, identityOf(scan.monoid, totals.dtype));
  const domain = [...scan.lines, chunk];
  const offset = flatten(
    domain.map(of),
    domain.map(({ extent }) => extent),
  );
  return {
    domain,
    reduced: [inChunk],
    monoid: scan.monoid,
    position: false,
    element:
      boundsOf(at).upper < scan.length ? scan.element(at) : choose(isLess(at, scan.length), scan.element(at), none),
    finish: (value) => [{ kind: 'store', buffer: totals, offset, value }],
  };
}

const barrier: Stmt = { kind: 'barrier' };

function chunks(scan: Scan, invocations: number, run: number, chunk: Axis, totals: Buffer | null): Stmt[] {
  const { monoid, result } = scan;
  const { dtype } = result;
  const sums: Buffer = { name: 'sums', dtype, size: invocations, space: 'shared' };
  const grid = [...scan.lines, chunk];
  return workgroups(extentOf(grid), invocations, [{ kind: 'allocate', buffer: sums }], (group, lane) => {
    const place = namedIndices(grid, group);
    const accumulator = (name: string): Local => ({ name, dtype, lanes: 1 });
    const begin = (local: Local): Stmt => {
      return { kind: 'accumulator', local, initial: literal(dtype, identityOf(monoid, dtype)) };
    };
    const take = (local: Local, value: Expr): Stmt => ({ kind: 'accumulate', local, monoid, value });
    const first = named('first', multiply(add(multiply(of(chunk), invocations), lane), run));
    const walk = (body: (at: IndexExpr) => Stmt[]): Stmt => {
      const step = axis('step', run);
      const at = named('at', add(first.index, of(step)));
      return loop(step, 'serial', [
        ...at.stmts,
        ...within(at.index, scan.length, body(limited(at.index, scan.length - 1))),
      ]);
    };
    const own = accumulator('own');
    const running = accumulator(monoid);
    const put = (at: IndexExpr): Stmt => {
      return { kind: 'store', buffer: result, offset: scan.offset(at), value: localValue(running) };
    };
    const body: Stmt[] = [
      ...first.stmts,
      begin(own),
      walk((at) => [take(own, scan.element(at))]),
      { kind: 'store', buffer: sums, offset: lane, value: localValue(own) },
      barrier,
      ...prefixes(sums, monoid, lane, () => accumulator('before')),
      begin(running),
      ...(totals === null ? [] : [earlier(scan, chunk, totals, running)]),
      {
        kind: 'if',
        condition: apply('gt', indexValue(lane), literal('i32', 0)),
        then: [take(running, load(sums, add(lane, fixed(-1))))],
        otherwise: [],
      },
      walk((at) => {
        const taken = take(running, scan.element(at));
        return scan.exclusive ? [put(at), taken] : [taken, put(at)];
      }),
    ];
    return [...place.stmts, ...substituteStmts(body, place.map)];
  });
}

/** Afterwards each place holds the combination of all up to it (Hillis and Steele, CACM 29(12), 1986). */
function prefixes(sums: Buffer, monoid: Monoid, lane: IndexExpr, local: () => Local): Stmt[] {
  const stmts: Stmt[] = [];
  for (let distance = 1; distance < sums.size; distance *= 2) {
    const before = local();
    const reaches = apply('ge', indexValue(lane), literal('i32', distance));
    const value = load(sums, add(lane, fixed(-distance)));
    const when = (stmt: Stmt): Stmt => ({ kind: 'if', condition: reaches, then: [stmt], otherwise: [] });
    stmts.push(
      { kind: 'accumulator', local: before, initial: literal(sums.dtype, identityOf(monoid, sums.dtype)) },
      when({ kind: 'assign', local: before, value }),
      barrier,
      when({ kind: 'update', buffer: sums, offset: lane, monoid, value: localValue(before) }),
      barrier,
    );
  }
  return stmts;
}

/** What the chunks before this one come to. */
function earlier(scan: Scan, chunk: Axis, totals: Buffer, running: Local): Stmt {
  const other = axis('other', chunk.extent);
  const domain = [...scan.lines, chunk];
  const offset = flatten(
    [...scan.lines.map(of), of(other)],
    domain.map(({ extent }) => extent),
  );
  const isBefore = apply('lt', indexValue(of(other)), indexValue(of(chunk)));
  const take: Stmt = { kind: 'accumulate', local: running, monoid: scan.monoid, value: load(totals, offset) };
  return loop(other, 'serial', [{ kind: 'if', condition: isBefore, then: [take], otherwise: [] }]);
}
