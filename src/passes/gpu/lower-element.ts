// Element groups on a GPU: an invocation for each element of the domain, every member a named value.

import { axis, of } from '../../ir/index-expr.ts';
import { sizeOf } from '../../ir/types.ts';
import { type KernelBody, type LoweringContext, memberStmts } from '../group.ts';
import { workOf } from '../lower-element.ts';
import { elementGrid } from './grid.ts';

export function lowerElement(context: LoweringContext): KernelBody[] {
  const { domain } = context.group;
  const axes = domain.map((extent, position) => axis(`i${position}`, extent));
  const body = memberStmts(context, axes.map(of), new Map());
  const ordered = context.order.map((position) => axes[position]!);
  return [{ suffix: '', body: elementGrid(ordered, body), flops: workOf(body) * sizeOf(domain) }];
}
