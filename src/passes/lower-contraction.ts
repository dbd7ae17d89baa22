// Contractions: out[b, m, n] = Σ_k lhs[b, m, k] · rhs[b, n, k], which is every matrix product, convolution and their
// gradients. This file chooses the form: direct, depthwise or Winograd's for what is read where it lies, packed for
// products of two matrices that change, a reduction where it is thin or small.

import { InternalError } from '../ir/errors.ts';
import type { Node } from '../ir/graph.ts';
import { type Axis, boundsOf, coefficientOf, type IndexExpr, of } from '../ir/index-expr.ts';
import { apply, type Expr, indexValue, literal, type Stmt } from '../ir/kernel.ts';
import { both } from '../ir/ops/shape.ts';
import type { PaddedWindow } from '../ir/optable.ts';
import { bytesPerElement, isFloat } from '../ir/types.ts';
import { type Candidate, ranked } from './decision.ts';
import { substituteAxes } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, type LoweringContext, memberStmts } from './group.ts';
import { contiguousAxis, extentOf } from './loops.ts';
import { isOfBytes, lowerBytes } from './lower-bytes.ts';
import { asDepthwise, lowerDepthwise } from './lower-depthwise.ts';
import { type DirectProblem, lowerDirect } from './lower-direct.ts';
import {
  extentsOf,
  isBetterSwapped,
  liesInRows,
  oriented,
  type Problem,
  packed,
  packedSchedule,
  swapped,
} from './lower-packed.ts';
import { type Reduction, reductionKernels } from './lower-reduction.ts';
import { isStreamed, lowerStreamed } from './lower-streamed.ts';
import { asWinograd, lowerWinograd, type Square, tilesOf, winogradGain } from './lower-winograd.ts';
import { isNarrow } from './narrow-weights.ts';
import { problemKey } from './problem-key.ts';
import {
  alwaysDirect,
  type DepthwiseSchedule,
  type DirectSchedule,
  depthwiseSchedule,
  directSchedule,
  directTiles,
  fewestPackedRows,
  formTarget,
  lanesOf,
  leastWinogradGain,
  mostBytesInLanes,
  mostDepthwiseTaps,
  packingThreshold,
  type ScheduleTarget,
  shortestSummedRow,
  streamedSchedule,
} from './schedule.ts';
import {
  type ContractionChoice,
  depthwiseCandidates,
  directCandidates,
  packedCandidates,
} from './schedule-candidates.ts';

export function lowerContraction(context: GroupContext, anchor: Node): KernelBody[] {
  const problem = problemOf(context, anchor);
  const choice = context.choose({
    group: context.group,
    key: () => problemKey(problem, context),
    untuned: untunedChoice(context, problem),
    candidates: () => candidatesOf(context, problem),
  });
  return lowerAs(context, anchor, problem, choice);
}

function lowerAs(context: GroupContext, anchor: Node, problem: Problem, choice: ContractionChoice): KernelBody[] {
  switch (choice.form) {
    case 'reduction':
      return asReduction(context, anchor, problem);
    case 'depthwise':
      return lowerDepthwise(context, anchor, asDirect(problem), choice);
    case 'direct':
      return lowerDirect(context, anchor, asDirect(problem), choice);
    case 'bytes':
      return lowerBytes(context, anchor, asDirect(problem), choice);
    case 'streamed':
      return lowerStreamed(context, anchor, asDirect(problem), choice);
    case 'winograd':
      return lowerWinograd(context, anchor, squareOf(context, problem)!, choice);
    case 'packed':
      return packed(context, anchor, oriented(problem, choice.swapped), choice);
  }
}

function untunedChoice(context: GroupContext, problem: Problem): ContractionChoice {
  if (!isPackable(problem, context)) return { form: 'reduction' };
  const { target } = context;
  const rows = extentOf(problem.rows);
  const columns = extentOf(problem.columns);
  const work = rows * columns * extentOf(problem.inner);
  const thin = Math.min(rows, columns) < fewestPackedRows;
  if (work >= packingThreshold && bytesFill(context, problem))
    return { form: 'bytes', ...directScheduleFor(problem, target) };
  if (thin && work >= packingThreshold && paysStreaming(context, problem)) {
    const { features, image } = asDirect(problem);
    return {
      form: 'streamed',
      ...streamedSchedule(extentOf(features), bytesPerElement[image.dtype], formTarget(target)),
    };
  }
  if (isReadByRows(problem, context)) return { form: 'reduction' };
  if (isReadInPlace(problem, thin, context)) return { form: 'direct', ...directScheduleFor(problem, target) };
  const convolution = work * extentOf(problem.batch) >= packingThreshold ? convolutionChoice(context, problem) : null;
  if (convolution !== null) return convolution;
  if (thin || work < packingThreshold) return { form: 'reduction' };
  const isSwapped = isBetterSwapped(problem, target);
  return { form: 'packed', ...packedSchedule(oriented(problem, isSwapped), isSwapped, target) };
}

/** Integers of bytes by constant weights, features enough for half a vector, and products enough for words of four. */
function bytesFill(context: GroupContext, problem: Problem): boolean {
  const direct = asDirect(problem);
  const lanes = lanesOf(formTarget(context.target), bytesPerElement[direct.image.dtype]);
  return extentOf(direct.features) * 2 >= lanes && isOfBytes(context, direct);
}

/** Weights that may change, too large for a cache or not in whole panels of the direct form, which would pack them at every call. */
function paysStreaming(context: GroupContext, problem: Problem): boolean {
  const direct = asDirect(problem);
  if (!isStreamed(context, direct)) return false;
  const { lanes, vectors } = directScheduleFor(problem, context.target);
  const features = extentOf(direct.features);
  const bytes = features * extentOf(direct.inner) * bytesPerElement[direct.weights.dtype];
  return bytes > mostBytesInLanes || features % (lanes * vectors) !== 0;
}

/**
 * One row times constant weights that lie along the summed axes, such as an embedding that is the head as well, and fit no cache: memory
 * is read as fast along their rows as in panels, and there is no second copy of them.
 */
function isReadByRows(problem: Problem, context: GroupContext): boolean {
  const { features, pixels, inner, weights } = asDirect(problem);
  if (problem.window !== undefined || extentOf(pixels) !== 1) return false;
  if (weights.kind !== 'load' || !context.isConstant(weights)) return false;
  const along = contiguousAxis([weights], [...features, ...inner]);
  const bytes = extentOf(features) * extentOf(inner) * bytesPerElement[weights.dtype];
  return along !== null && inner.includes(along) && along.extent >= shortestSummedRow && bytes > mostBytesInLanes;
}

/** Few rows, or weights that are packed once for all calls: the rows are then read where they lie. */
function isReadInPlace(problem: Problem, thin: boolean, context: GroupContext): boolean {
  const { lhs, rhs, inner, window } = problem;
  const [rows, columns] = [extentOf(problem.rows), extentOf(problem.columns)];
  const [weights, features] = rows <= columns ? [rhs, problem.columns] : [lhs, problem.rows];
  const lanes = lanesOf(formTarget(context.target), bytesPerElement[lhs.dtype]);
  if (
    window !== undefined ||
    extentOf(features) < lanes ||
    extentOf(inner) * Math.max(rows, columns) < packingThreshold
  )
    return false;
  if (context.isConstant(weights)) return true;
  return thin && weights.kind === 'load' && features.some((axis) => coefficientOf(weights.offset, axis) === 1);
}

/** lhs as the image of a direct contraction, rhs as its weights. */
function asImage(problem: Problem): DirectProblem {
  const { batch, rows, columns, inner, lhs, rhs, result } = problem;
  const axes = [...batch, ...rows, ...inner];
  const window: PaddedWindow = {
    shape: axes.map(({ extent }) => extent),
    element: (_s, index) => substituteAxes(lhs, new Map(axes.map((next, i) => [next, index[i]!]))),
    index: axes.map(of),
  };
  return { batch, features: columns, pixels: rows, inner, weights: rhs, image: lhs, window, result };
}

/** A convolution as it stands, features in lanes; of a matrix product, whichever operand has fewer rows is the image. */
function asDirect(problem: Problem): DirectProblem {
  const { rows: features, columns: pixels, lhs: weights, rhs: image, window } = problem;
  if (window !== undefined) return { ...problem, features, pixels, weights, image, window };
  return asImage(extentOf(features) <= extentOf(pixels) ? problem : swapped(problem));
}

function directScheduleFor(problem: Problem, target: ScheduleTarget): DirectSchedule {
  const { features, pixels, image } = asDirect(problem);
  return directSchedule(extentOf(features), extentOf(pixels), bytesPerElement[image.dtype], target);
}

/** The transforms of narrow weights would be wide, and several times as many. */
function squareOf(context: GroupContext, problem: Problem): ReturnType<typeof asWinograd> {
  if (problem.window === undefined) return null;
  const direct = asDirect(problem);
  return isNarrow(context, direct.weights) ? null : asWinograd(direct, formTarget(context.target));
}

/** Depthwise with channels in lanes, or direct with features in lanes; null where neither fills them. */
function convolutionChoice(context: GroupContext, problem: Problem): ContractionChoice | null {
  const { target } = context;
  if (problem.window === undefined) return null;
  const direct = asDirect(problem);
  const { features, pixels, inner, batch } = direct;
  if (extentOf(features) === 1 && extentOf(inner) <= mostDepthwiseTaps && extentOf(batch) > 1) {
    const schedule = depthwiseScheduleFor(direct, target);
    return schedule === null ? null : { form: 'depthwise', ...schedule };
  }
  const bytes = bytesPerElement[direct.weights.dtype];
  const lanes = lanesOf(formTarget(target), bytes);
  const work = extentOf(features) * extentOf(pixels) * extentOf(inner);
  const filled = extentOf(features) * 2 >= lanes || (extentOf(features) > 1 && work >= alwaysDirect);
  if (!filled) return null;
  const square = squareOf(context, problem);
  if (square !== null && winogradGain(square, formTarget(target)) > leastWinogradGain)
    return { form: 'winograd', ...directSchedule(extentOf(features), tilesOf(square), bytes, target) };
  return { form: 'direct', ...directScheduleFor(problem, target) };
}

function depthwiseScheduleFor(problem: DirectProblem, target: ScheduleTarget): DepthwiseSchedule | null {
  const axes = asDepthwise(problem);
  if (axes === null) return null;
  return depthwiseSchedule(axes.channel.extent, axes.row.extent, bytesPerElement[problem.image.dtype], target);
}

/** Loading both factors, and a sum that one vector accumulates: what a multiply-add costs outside of a register tile. */
const reductionCost = 3;

/** Everything that could be done with a problem, the least estimated cost first. */
function candidatesOf(context: GroupContext, problem: Problem): Candidate<ContractionChoice>[] {
  const { target } = context;
  const bytes = bytesPerElement[problem.lhs.dtype];
  const [rows, columns, inner, batch] = [problem.rows, problem.columns, problem.inner, problem.batch].map(extentOf) as [
    number,
    number,
    number,
    number,
  ];
  const work = batch * rows * columns * inner;
  const cost = (work * reductionCost) / lanesOf(target, bytes);
  const reduction: Candidate<ContractionChoice> = { choice: { form: 'reduction' }, cost, tile: 'reduction' };
  if (!isPackable(problem, context)) return [reduction];
  const direct = asDirect(problem);
  const [features, pixels] = [extentOf(direct.features), extentOf(direct.pixels)];
  const square = squareOf(context, problem);
  const depthwise = asDepthwise(direct);
  const panels = [false, true].flatMap((isSwapped) => {
    const turned = oriented(problem, isSwapped);
    const options = { swapped: isSwapped, mayLieInPlace: liesInRows(turned) };
    return packedCandidates(extentsOf(turned), options, bytes, target);
  });
  return ranked(untunedChoice(context, problem), [
    reduction,
    ...directCandidates('direct', features, pixels, batch * inner, bytes, target),
    ...(isOfBytes(context, direct)
      ? directCandidates('bytes', features, pixels, (batch * inner) / 4, bytes, target)
      : []),
    ...(square === null ? [] : winogradCandidates(square, features, bytes, target)),
    ...(depthwise === null
      ? []
      : depthwiseCandidates(depthwise.channel.extent, depthwise.row.extent, work, bytes, target)),
    ...panels,
  ]);
}

/** The products' schedules; the transforms cost what the estimate of the gain says. */
function winogradCandidates(
  square: Square,
  features: number,
  bytes: number,
  target: ScheduleTarget,
): Candidate<ContractionChoice>[] {
  const { pixels, inner } = square;
  const [plain] = directTiles(features, extentOf(pixels), bytes, target);
  const products = directCandidates('winograd', features, tilesOf(square), 1, bytes, target);
  const whole = (plain!.cost * extentOf(inner)) / winogradGain(square, target);
  const least = Math.min(...products.map(({ cost }) => cost));
  return products.map((candidate) => ({ ...candidate, cost: (whole * (1 + candidate.cost / least)) / 2 }));
}

/** Whole vectors need 4- or 8-byte elements that multiply and add as such, and a result where each goes. */
function isPackable(problem: Problem, context: LoweringContext): boolean {
  const { dtype } = problem.lhs;
  const multiplies = isFloat(dtype) ? dtype !== 'f16' : dtype === 'i32' || dtype === 'u32';
  return multiplies && beyond(problem, context).length === 0;
}

/** The contraction of a group's anchor. */
export function problemOf(context: LoweringContext, anchor: Node): Problem {
  const { lowering } = context.table[anchor.op];
  if (lowering.class !== 'contraction') throw new InternalError(`${anchor.op} is no contraction`);
  const form = lowering.form(anchor as never);
  const { operandOf } = context;
  return { ...form, outer: [], lhs: form.lhs(operandOf), rhs: form.rhs(operandOf) };
}

function asReduction(context: GroupContext, anchor: Node, problem: Problem): KernelBody[] {
  return reductionKernels(context, sumOfProducts(context, anchor, problem));
}

/** A contraction as a reduction over the result's own axes, in the result's order. */
export function sumOfProducts(context: LoweringContext, anchor: Node, problem: Problem): Reduction {
  return {
    domain: resultAxes(problem, context.order),
    reduced: problem.inner,
    monoid: 'sum',
    position: false,
    element: apply('mul', problem.lhs, problem.rhs),
    finish: (sum) =>
      ifInside(problem, context, memberStmts(context, problem.result, new Map([[anchor.results[0]!, sum]]))),
  };
}

/** Statements at an index of the result, where that lies within it. */
export function ifInside(problem: Problem, context: LoweringContext, stmts: readonly Stmt[]): Stmt[] {
  const condition = beyond(problem, context).reduce<Expr | null>(
    (all, { index, extent }) => both(all, apply('lt', indexValue(index), literal('i32', extent))),
    null,
  );
  return condition === null ? [...stmts] : [{ kind: 'if', condition, then: stmts, otherwise: [] }];
}

/** Indices of the result that may lie beyond it. */
function beyond({ result }: Problem, { group }: LoweringContext): { index: IndexExpr; extent: number }[] {
  return result
    .map((index, position) => ({ index, extent: group.domain[position]! }))
    .filter(({ index, extent }) => boundsOf(index).upper >= extent);
}

/** The axes of the result from the slowest to the fastest. */
export function resultAxes({ batch, rows, columns, result }: Problem, order: readonly number[]): Axis[] {
  const all = new Set([...batch, ...rows, ...columns]);
  const ordered: Axis[] = [];
  for (const position of order) {
    for (const { atom } of result[position]!.terms) {
      if (atom.kind === 'axis' && all.delete(atom)) ordered.push(atom);
    }
  }
  return [...ordered, ...all];
}
