// Contractions: out[b, m, n] = Σ_k lhs[b, m, k] · rhs[b, n, k], which is every matrix product, convolution and their
// gradients. This file chooses the form: direct, depthwise or Winograd's for what is read where it lies, packed for
// products of two matrices that change, a reduction where it is thin or small.

import { InternalError } from '../ir/errors.ts';
import type { Node } from '../ir/graph.ts';
import { type Axis, coefficientOf, of } from '../ir/index-expr.ts';
import { apply } from '../ir/kernel.ts';
import type { PaddedWindow } from '../ir/optable.ts';
import { bytesPerElement, isFloat } from '../ir/types.ts';
import { substituteAxes } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { extentOf } from './loops.ts';
import { lowerDepthwise } from './lower-depthwise.ts';
import { type DirectProblem, lowerDirect } from './lower-direct.ts';
import { oriented, type Problem, packed, swapped } from './lower-packed.ts';
import { reductionKernels } from './lower-reduction.ts';
import { asWinograd, lowerWinograd, winogradGain } from './lower-winograd.ts';
import { alwaysDirect, fewestPackedRows, leastWinogradGain, mostDepthwiseTaps, packingThreshold } from './schedule.ts';

export function lowerContraction(context: GroupContext, anchor: Node): KernelBody[] {
  const problem = problemOf(context, anchor);
  const rows = extentOf(problem.rows);
  const columns = extentOf(problem.columns) * extentOf(problem.outer);
  const work = rows * columns * extentOf(problem.inner);
  const thin = Math.min(rows, columns) < fewestPackedRows;
  if (isPackable(problem) && isReadInPlace(problem, thin, context)) {
    return lowerDirect(context, anchor, asImage(rows <= columns ? problem : swapped(problem)));
  }
  const convolution =
    isPackable(problem) && work * extentOf(problem.batch) >= packingThreshold
      ? lowerConvolution(context, anchor, problem)
      : null;
  if (convolution !== null) return convolution;
  if (thin || work < packingThreshold || !isPackable(problem)) return asReduction(context, anchor, problem);
  return packed(context, anchor, oriented(problem, context));
}

/** Few rows, or weights that are packed once for all calls: the rows are then read where they lie. */
function isReadInPlace(problem: Problem, thin: boolean, context: GroupContext): boolean {
  const { lhs, rhs, inner, window } = problem;
  const [rows, columns] = [extentOf(problem.rows), extentOf(problem.columns)];
  const [weights, features] = rows <= columns ? [rhs, problem.columns] : [lhs, problem.rows];
  const lanes = context.target.vectorBytes / bytesPerElement[lhs.dtype];
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

/** Depthwise with channels in lanes, or direct with features in lanes; null where neither fills them. */
function lowerConvolution(context: GroupContext, anchor: Node, problem: Problem): KernelBody[] | null {
  const { rows: features, columns: pixels, lhs: weights, rhs: image, window, batch, inner } = problem;
  if (window === undefined) return null;
  const direct: DirectProblem = { ...problem, features, pixels, weights, image, window };
  if (extentOf(features) === 1 && extentOf(inner) <= mostDepthwiseTaps && extentOf(batch) > 1)
    return lowerDepthwise(context, anchor, direct);
  const lanes = context.target.vectorBytes / bytesPerElement[weights.dtype];
  const work = extentOf(features) * extentOf(pixels) * extentOf(inner);
  const filled = extentOf(features) * 2 >= lanes || (extentOf(features) > 1 && work >= alwaysDirect);
  if (!filled) return null;
  const square = asWinograd(direct, lanes);
  if (square !== null && winogradGain(square, lanes) > leastWinogradGain) return lowerWinograd(context, anchor, square);
  return lowerDirect(context, anchor, direct);
}

/** Whole vectors need 4- or 8-byte elements that multiply and add as such. */
function isPackable({ lhs }: Problem): boolean {
  return isFloat(lhs.dtype) ? lhs.dtype !== 'f16' : lhs.dtype === 'i32' || lhs.dtype === 'u32';
}

function problemOf(context: GroupContext, anchor: Node): Problem {
  const { lowering } = context.table[anchor.op];
  if (lowering.class !== 'contraction') throw new InternalError(`${anchor.op} is no contraction`);
  const form = lowering.form(anchor as never);
  const { operandOf } = context;
  return { ...form, outer: [], lhs: form.lhs(operandOf), rhs: form.rhs(operandOf) };
}

function asReduction(context: GroupContext, anchor: Node, problem: Problem): KernelBody[] {
  // The reduction's axes are the result's own, in the result's order.
  const domain = resultAxes(problem, context.order);
  return reductionKernels(context, {
    domain,
    reduced: problem.inner,
    monoid: 'sum',
    position: false,
    element: apply('mul', problem.lhs, problem.rhs),
    finish: (sum) => memberStmts(context, problem.result, new Map([[anchor.results[0]!, sum]])),
  });
}

/** The axes of the result from the slowest to the fastest. */
function resultAxes({ batch, rows, columns, result }: Problem, order: readonly number[]): Axis[] {
  const all = new Set([...batch, ...rows, ...columns]);
  const ordered: Axis[] = [];
  for (const position of order) {
    for (const { atom } of result[position]!.terms) {
      if (atom.kind === 'axis' && all.delete(atom)) ordered.push(atom);
    }
  }
  return [...ordered, ...all];
}
