// The reverse derivative of a branch: that of the function that ran. What it keeps of that function are further results of the
// branch, places that both functions share where they keep the same types; where the other ran they are zeros, which nobody reads.

import type { Builder } from '../../builder.ts';
import { closeOver } from '../../closure.ts';
import type { Func, Node, Value } from '../../graph.ts';
import type { ReverseRules } from '../../optable.ts';
import { isFloat, sameType, type TensorType } from '../../types.ts';
import { fresh, nestedFunc, type Opened, open, orZeros, where } from './nested.ts';
import { chooseResiduals, isCostly, neededBy } from './residuals.ts';

/** One of the functions with its derivative, as expressions of its own parameters and of `arriving`. */
interface Reversed extends Opened {
  readonly name: string;
  /** Cotangents of results, those that there are. */
  readonly arriving: readonly Value[];
  readonly gradients: readonly Value[];
  /** What the derivative reads in place of computing it again. */
  readonly kept: ReadonlySet<Value>;
}

export function condVjp(
  b: Builder,
  node: Node<'cond'>,
  cotangents: readonly (Value | null)[],
  rules: ReverseRules,
): readonly (Value | null)[] {
  const wanted = node.operands.slice(1).map(({ type }, i) => rules.wanted[i + 1]! && isFloat(type.dtype));
  const given = cotangents.filter((cotangent) => cotangent !== null);
  const branches = [node.attrs.then, node.attrs.otherwise].map(({ name, ...func }) => {
    const { parameters, results } = open({ name, ...func });
    const arriving = results.map((value, i) => (cotangents[i] === null ? null : fresh('cotangent', value.type)));
    const found = rules.vjp(results, arriving, where(parameters, wanted));
    return { name, parameters, results, arriving: arriving.filter((value) => value !== null), found };
  });
  const varies = branches[0]!.found.map((_, i) => branches.some(({ found }) => found[i] !== null));
  if (!varies.includes(true)) return node.operands.map(() => null);
  const [then, otherwise] = branches.map(({ found, ...branch }): Reversed => {
    const gradients = orZeros(b, where(found, varies), where(where(branch.parameters, wanted), varies));
    return { ...branch, gradients, kept: keptOf(node, branch, gradients, rules) };
  }) as [Reversed, Reversed];
  const made = [...reversedBranch(b, node, then, otherwise, given)];
  const found = varies.map((flag) => (flag ? made.shift()! : null));
  return [null, ...wanted.map((flag) => (flag ? found.shift()! : null))];
}

function keptOf(
  { attrs }: Node<'cond'>,
  { results, arriving }: { readonly results: readonly Value[]; readonly arriving: readonly Value[] },
  gradients: readonly Value[],
  { table }: ReverseRules,
): ReadonlySet<Value> {
  return chooseResiduals({
    needed: neededBy(gradients, new Set(arriving)),
    gone: new Set(),
    isCostly: (node) => attrs.residuals === 'keep' && isCostly(table, node),
    stored: new Set(results),
  });
}

/** The branch of both derivatives, on the arguments, on what was kept, and on the cotangents. */
function reversedBranch(
  b: Builder,
  node: Node<'cond'>,
  then: Reversed,
  otherwise: Reversed,
  cotangents: readonly Value[],
): readonly Value[] {
  const results = node.results.flatMap((_, i) =>
    then.kept.has(then.results[i]!) || otherwise.kept.has(otherwise.results[i]!) ? [i] : [],
  );
  const slots = sharedSlots(b, furtherOf(then), furtherOf(otherwise));
  const [ofThen, ofOtherwise] = slots;
  const kept =
    ofThen.length === 0
      ? []
      : b.cond(...node.operands, {
          ...node.attrs,
          then: nestedFunc(then.name, then.parameters, ofThen),
          otherwise: nestedFunc(otherwise.name, otherwise.parameters, ofOtherwise),
        });
  const operands = [...node.operands, ...results.map((i) => node.results[i]!), ...kept, ...cotangents];
  return b.cond(...operands, {
    ...node.attrs,
    then: derivative(then, results, ofThen),
    otherwise: derivative(otherwise, results, ofOtherwise),
  });
}

/** What is kept beside the results. */
const furtherOf = ({ kept, results }: Reversed): Value[] => [...kept].filter((value) => !results.includes(value));

/** A place for each value of either list, one for two of the same type; zeros stand where a list has none. */
function sharedSlots(b: Builder, first: readonly Value[], second: readonly Value[]): readonly [Value[], Value[]] {
  const rest = [...second];
  const zeros = (type: TensorType): Value => b.fill(type, 0);
  const others = first.map((value) => {
    const at = rest.findIndex(({ type }) => sameType(type, value.type));
    return at < 0 ? zeros(value.type) : rest.splice(at, 1)[0]!;
  });
  return [
    [...first, ...rest.map(({ type }) => zeros(type))],
    [...others, ...rest],
  ];
}

/** The derivative as a function of all arguments, of some results, of what lies in the slots, and of the cotangents. */
function derivative(branch: Reversed, results: readonly number[], slots: readonly Value[]): Func {
  const { name, parameters, arriving, gradients, kept } = branch;
  const { func, captured } = closeOver(
    `${name}_vjp`,
    arriving.map((value) => ({ name: value.name!, role: 'input', value })),
    gradients.map((value, i) => ({ name: `result_${i}`, role: 'output', value })),
    (value) => kept.has(value),
  );
  const given = [...parameters, ...results.map((i) => branch.results[i]!), ...slots];
  const taken = new Set<Value>();
  const standIns = given.map((value) => {
    const at = taken.has(value) ? -1 : captured.indexOf(value);
    taken.add(value);
    return at < 0 ? fresh(value.name ?? 'residual', value.type) : func.parameters[at]!.value;
  });
  return nestedFunc(
    func.name,
    [...standIns, ...func.parameters.slice(captured.length).map(({ value }) => value)],
    func.results.map(({ value }) => value),
  );
}
