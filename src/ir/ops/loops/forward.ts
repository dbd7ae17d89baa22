// Forward derivatives of loops: the same loop with tangents beside what varies. A carry has one where it begins with one or a step
// gives it one.

import type { Builder } from '../../builder.ts';
import type { Func, Node, Value } from '../../graph.ts';
import type { NestedRules } from '../../optable.ts';
import { fresh, nestedFunc, type Opened, open, orZeros, where } from './nested.ts';

/** A nested function with tangents of some parameters, and those of its results; null is zero. */
interface Dual extends Opened {
  readonly varying: readonly boolean[];
  readonly tangents: readonly Value[];
  readonly found: readonly (Value | null)[];
}

/** The function's tangents; the first results are the next values of the parameters from `consts` on, `carries` of them. */
function dualOf(func: Func, given: readonly boolean[], consts: number, carries: number, nested: NestedRules): Dual {
  const opened = open(func);
  const { parameters, results } = opened;
  let varying = given;
  for (;;) {
    const wrt = where(parameters, varying);
    const tangents = wrt.map((value) => fresh(`tangent_${value.name}`, value.type));
    const found = nested.jvp(results, wrt, tangents);
    const grown = varying.map(
      (varies, i) => varies || (i >= consts && i < consts + carries && found[i - consts] !== null),
    );
    if (grown.every((varies, i) => varies === varying[i])) return { ...opened, varying, tangents, found };
    varying = grown;
  }
}

/** Values of the three kinds of operands, each with its tangents behind it. */
function interleaved(
  values: readonly Value[],
  tangents: readonly Value[],
  varying: readonly boolean[],
  bounds: readonly number[],
): Value[] {
  let next = 0;
  return [0, ...bounds].flatMap((begin, part) => {
    const end = bounds[part] ?? values.length;
    const count = varying.slice(begin, end).filter(Boolean).length;
    next += count;
    return [...values.slice(begin, end), ...tangents.slice(next - count, next)];
  });
}

const count = (flags: readonly boolean[]): number => flags.filter(Boolean).length;

/** Tangents of operands that vary; zeros for a carry that begins without one. */
function givenTangents(b: Builder, node: Node, tangents: readonly (Value | null)[], varying: readonly boolean[]) {
  return orZeros(b, where(tangents, varying), where(node.operands, varying));
}

export function scanJvp(
  b: Builder,
  node: Node<'scan'>,
  tangents: readonly (Value | null)[],
  nested: NestedRules,
): readonly (Value | null)[] {
  const { consts, carries } = node.attrs;
  const bounds = [consts, consts + carries];
  const given = tangents.map((tangent) => tangent !== null);
  const dual = dualOf(node.attrs.body, given, consts, carries, nested);
  const { varying, found, results } = dual;
  const carried = varying.slice(consts, consts + carries);
  const next = orZeros(b, where(found.slice(0, carries), carried), where(results, carried));
  const outputs = found.slice(carries).filter((tangent) => tangent !== null);
  const body = nestedFunc(`${node.attrs.body.name}_jvp`, interleaved(dual.parameters, dual.tangents, varying, bounds), [
    ...results.slice(0, carries),
    ...next,
    ...outputs,
  ]);
  const operands = interleaved(node.operands, givenTangents(b, node, tangents, varying), varying, bounds);
  const made = b.scan(...operands, {
    ...node.attrs,
    body,
    consts: consts + count(varying.slice(0, consts)),
    carries: carries + next.length,
  });
  const rest = made.slice(carries);
  return found.map((tangent, i) => ((i < carries ? carried[i]! : tangent !== null) ? rest.shift()! : null));
}

export function whileJvp(
  b: Builder,
  node: Node<'while'>,
  tangents: readonly (Value | null)[],
  nested: NestedRules,
): readonly (Value | null)[] {
  const { consts, condition } = node.attrs;
  const carries = node.operands.length - consts;
  const given = tangents.map((tangent) => tangent !== null);
  const dual = dualOf(node.attrs.body, given, consts, carries, nested);
  const { varying, found, results } = dual;
  const carried = varying.slice(consts);
  const next = orZeros(b, where(found, carried), where(results, carried));
  const tested = open(condition);
  const unread = where(tested.parameters, varying).map((value) => fresh(`tangent_${value.name}`, value.type));
  const made = b.while(...interleaved(node.operands, givenTangents(b, node, tangents, varying), varying, [consts]), {
    ...node.attrs,
    condition: nestedFunc(condition.name, interleaved(tested.parameters, unread, varying, [consts]), tested.results),
    body: nestedFunc(`${node.attrs.body.name}_jvp`, interleaved(dual.parameters, dual.tangents, varying, [consts]), [
      ...results,
      ...next,
    ]),
    consts: consts + count(varying.slice(0, consts)),
  });
  const rest = made.slice(carries);
  return carried.map((varies) => (varies ? rest.shift()! : null));
}

export function condJvp(
  b: Builder,
  node: Node<'cond'>,
  [, ...tangents]: readonly (Value | null)[],
  nested: NestedRules,
): readonly (Value | null)[] {
  const given = tangents.map((tangent) => tangent !== null);
  const duals = [node.attrs.then, node.attrs.otherwise].map((func) => dualOf(func, given, 0, 0, nested));
  const found = node.results.map((_, i) => duals.some((dual) => dual.found[i] !== null));
  if (!found.includes(true)) return node.results.map(() => null);
  const [then, otherwise] = duals.map((dual, i) =>
    nestedFunc(
      `${(i === 0 ? node.attrs.then : node.attrs.otherwise).name}_jvp`,
      [...dual.parameters, ...dual.tangents],
      orZeros(b, where(dual.found, found), where(dual.results, found)),
    ),
  );
  const made = [
    ...b.cond(...node.operands, ...where(tangents, given).map((tangent) => tangent!), {
      ...node.attrs,
      then: then!,
      otherwise: otherwise!,
    }),
  ];
  return found.map((varies) => (varies ? made.shift()! : null));
}
