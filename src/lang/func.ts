// Functions: which expressions are computed from which inputs, and which variables take new values. A definition is what
// every target compiles.

import { UserError } from '../ir/errors.ts';
import { evaluateFunc } from '../ir/evaluate.ts';
import { type Func, makeFunc, type Node, nodesOf, type Parameter, type Result, type Value } from '../ir/graph.ts';
import { type NdArray, ndarray } from '../ir/ndarray.ts';
import { type ArrayOf, type DType, formatType, sameType, sizeOf } from '../ir/types.ts';
import { describe } from './checks.ts';
import { otherCopy } from './copies.ts';
import { callerPosition } from './source.ts';
import { type AnyTensor, Tensor } from './tensor.ts';
import { tracedIn } from './trace.ts';
import { type AnyVariable, Input, Variable, variableOf } from './variable.ts';

// biome-ignore lint/suspicious/noExplicitAny: any input, whatever its type arguments
type AnyInput = Input<any, any, any>;

type InputArrays<I extends readonly AnyInput[]> = {
  readonly [T in I[number] as T['name']]: T extends { readonly dtype: infer D extends DType } ? ArrayOf[D] : never;
};
type OutputArrays<O> = {
  readonly [Name in keyof O]: O[Name] extends { readonly dtype: infer D extends DType } ? ArrayOf[D] : never;
};

/** New values of variables: pairs or a map. */
export type Updates = Iterable<readonly [AnyVariable, AnyTensor]>;

export interface FunctionOptions<I extends readonly AnyInput[], O> {
  /** Names the emitted code. Default: 'model'. */
  readonly name?: string;
  readonly inputs?: I;
  readonly outputs?: O;
  readonly updates?: Updates;
}

export interface FunctionDefinition<Inputs = unknown, Outputs = unknown> {
  readonly func: Func;
  /** Every variable that is read or updated, in order of first use. */
  readonly variables: readonly AnyVariable[];
  readonly signature?: { readonly inputs: Inputs; readonly outputs: Outputs };
}

/**
 * Defines a function. Throws UserError for an input that outputs need and `inputs` lacks, names given twice, an update of
 * another type than its variable, or two variables of one name.
 */
export function func<
  const I extends readonly AnyInput[] = readonly [],
  const O extends Readonly<Record<string, AnyTensor>> = Readonly<Record<never, never>>,
>(options: FunctionOptions<I, O>): FunctionDefinition<InputArrays<I>, OutputArrays<O>> {
  const inputs: readonly AnyInput[] = options.inputs ?? [];
  const outputs = Object.entries<AnyTensor>(options.outputs ?? {});
  const updates = [...(options.updates ?? [])];
  const fail = (message: string): never => {
    throw new UserError(`func ${options.name ?? 'model'}: ${message}`, callerPosition());
  };
  if (outputs.length === 0 && updates.length === 0) fail('at least one output or update expected');
  for (const given of inputs)
    if (!(given instanceof Input))
      fail(otherCopy(given) ?? `inputs made by input() expected, ${describe(given)} given`);
  for (const [name, tensor] of outputs)
    if (!(tensor instanceof Tensor))
      fail(otherCopy(tensor) ?? `a tensor expected as output ${name}, ${typeof tensor} given`);
  duplicate(
    inputs.map(({ name }) => name),
    (name) => fail(`input ${name} is given twice`),
  );
  duplicate(
    updates.map(([{ name }]) => name),
    (name) => fail(`variable ${name} is updated twice`),
  );
  for (const [target, value] of updates) {
    if (!(target instanceof Variable))
      fail(
        otherCopy(target) ?? `updates are pairs of a variable and its new value; ${describe(target)} is no variable`,
      );
    if (!sameType(target.type, value.value.type))
      fail(
        `the update of ${target.name} is ${formatType(value.value.type)}, the variable is ${formatType(target.type)}`,
      );
  }
  const roots = [...outputs.map(([, tensor]) => tensor.value), ...updates.map(([, tensor]) => tensor.value)];
  const leaves = leavesOf(roots);
  for (const [target] of updates) leaves.add(target.value);
  const declared = new Set(inputs.map(({ value }) => value));
  const variables = [...leaves].flatMap((leaf) => {
    if (declared.has(leaf)) return [];
    const found = variableOf(leaf);
    if (found === undefined) fail(`input ${leaf.name} is used by the outputs but not listed in inputs`);
    return [found!];
  });
  duplicate(
    variables.map(({ name }) => name),
    (name) => fail(`two variables are named ${name}; give one of them another name`),
  );
  duplicate(
    [...inputs, ...variables].map(({ name }) => name),
    (name) => fail(`an input and a variable are both named ${name}; give one of them another name`),
  );
  const parameters = [
    ...inputs.map(({ name, value }): Parameter => ({ name, role: 'input', value })),
    ...variables.map(({ name, value }): Parameter => ({ name, role: 'state', value })),
  ];
  const results = [
    ...outputs.map(([name, { value }]): Result => ({ name, role: 'output', value })),
    ...updates.map(([{ name }, { value }]): Result => ({ name, role: 'update', value })),
  ];
  return { func: makeFunc(options.name ?? 'model', parameters, results), variables };
}

/** Inputs and variables that roots read or are, root after root in order of first use. */
function leavesOf(roots: readonly Value[]): Set<Value> {
  const leaves = new Set<Value>();
  const passed = new Set<Node>();
  let next = 0;
  const passRoots = (): void => {
    for (let root = roots[next]; root !== undefined; root = roots[++next]) {
      if (root.producer === null) leaves.add(root);
      else if (!passed.has(root.producer)) return;
    }
  };
  passRoots();
  for (const node of nodesOf(roots)) {
    for (const operand of node.operands) if (operand.producer === null) leaves.add(operand);
    passed.add(node);
    passRoots();
  }
  for (const leaf of leaves) expectOutside(leaf);
  return leaves;
}

/** Refuses what stands for an argument of a traced function: it has no value elsewhere. */
function expectOutside(leaf: Value): void {
  const callee = tracedIn(leaf);
  if (callee === undefined) return;
  throw new UserError(
    `${leaf.name}, which the function given to ${callee} was called with, is used outside of that function: return from it what is needed outside`,
    callerPosition(),
  );
}

function duplicate(names: readonly string[], found: (name: string) => void): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) found(name);
    seen.add(name);
  }
}

/** Every variable that an expression reads, in order of first use. */
export function variablesOf(...tensors: readonly AnyTensor[]): AnyVariable[] {
  return [...leavesOf(tensors.map(({ value }) => value))].flatMap((leaf) => variableOf(leaf) ?? []);
}

/**
 * Evaluates expressions with the float64 reference: for documentation and tests. Variables have their first values
 * unless `given` names them. Throws UserError for a missing input, and for a name that nothing reads while something that is
 * read is not given: it may be misspelt. (A derivative need not read what it is taken by, so a surplus alone is no fault.)
 */
export function interpret<T extends Readonly<Record<string, AnyTensor>>>(
  tensors: T,
  given: Readonly<Record<string, ArrayLike<number> | number>> = {},
): { [Name in keyof T]: { readonly shape: readonly number[]; readonly data: Float64Array } } {
  const entries = Object.entries(tensors);
  const leaves = [...leavesOf(entries.map(([, { value }]) => value))];
  const names = leaves.map(({ name }) => name ?? '');
  const mayBeMisspelt = names.some((name) => !Object.hasOwn(given, name));
  for (const name of Object.keys(given))
    if (mayBeMisspelt && !names.includes(name))
      throw new UserError(
        `interpret: input ${JSON.stringify(name)} does not exist; the expressions read ${names.join(', ') || 'none'}`,
        callerPosition(),
      );
  const arrays = leaves.map((leaf): NdArray => {
    const data = given[leaf.name ?? ''] ?? variableOf(leaf)?.initial();
    if (data === undefined) throw new UserError(`interpret: input ${leaf.name} is missing`, callerPosition());
    const elements = typeof data === 'number' ? new Array<number>(sizeOf(leaf.type.shape)).fill(data) : data;
    if (elements.length !== sizeOf(leaf.type.shape)) {
      throw new UserError(
        `interpret: input ${leaf.name} is ${formatType(leaf.type)}: ${sizeOf(leaf.type.shape)} elements expected, ${elements.length} given`,
        callerPosition(),
      );
    }
    return ndarray(leaf.type.dtype, leaf.type.shape, elements);
  });
  const parameters = leaves.map((value, i): Parameter => ({ name: `p${i}`, role: 'input', value }));
  const results = entries.map(([name, { value }]): Result => ({ name, role: 'output', value }));
  const found = evaluateFunc(makeFunc('interpret', parameters, results), arrays);
  return Object.fromEntries(
    entries.map(([name], i) => [name, { shape: found[i]!.type.shape, data: found[i]!.data }]),
  ) as never;
}
