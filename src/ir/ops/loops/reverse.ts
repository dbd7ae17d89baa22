// Reverse derivatives of loops. That of a scan is a scan in the other direction: cotangents of carries are carried, those of
// constants are summed up in carries, those of sequences are outputs. What a step's derivative reads of the step is kept by
// another run of the forward scan with further outputs, which is merged with the first when the graph is optimized.

import type { Builder } from '../../builder.ts';
import { closeOver } from '../../closure.ts';
import { UserError } from '../../errors.ts';
import type { Node, Value } from '../../graph.ts';
import { inlineFunc } from '../../inline.ts';
import type { ReverseRules } from '../../optable.ts';
import { isFloat } from '../../types.ts';
import { fresh, nestedFunc, type Opened, open, orZeros, where } from './nested.ts';
import { chooseResiduals, isCostly, neededBy } from './residuals.ts';

const indices = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);

/** The derivative of one step, as expressions of the step's own values and of `cotangents`. */
interface StepReversed {
  /** Which carries have a cotangent, by number. */
  readonly active: readonly number[];
  /** The cotangents of the next active carries. */
  readonly carried: readonly Value[];
  /** A slice of each output's cotangent; null: zero. */
  readonly slices: readonly (Value | null)[];
  /** Cotangents of the parameters; null where there is none or it is not wanted. */
  readonly gradients: readonly (Value | null)[];
}

/** Parameters of the step whose cotangents are wanted: a carry's where it varies with something wanted. */
function wantedParameters(node: Node<'scan'>, step: Opened, rules: ReverseRules): boolean[] {
  const { consts, carries } = node.attrs;
  let wanted = node.operands.map((operand, i) => rules.wanted[i]! && isFloat(operand.type.dtype));
  for (;;) {
    const varying = rules.varying(step.results, where(step.parameters, wanted));
    const grown = wanted.map((flag, i) => flag || (i >= consts && i < consts + carries && varying[i - consts]!));
    if (grown.every((flag, i) => flag === wanted[i])) return wanted;
    wanted = grown;
  }
}

function reverseStep(
  node: Node<'scan'>,
  step: Opened,
  cotangents: readonly (Value | null)[],
  rules: ReverseRules,
): StepReversed {
  const { consts, carries } = node.attrs;
  const wanted = wantedParameters(node, step, rules);
  const slices = step.results
    .slice(carries)
    .map((value, j) =>
      cotangents[carries + j] === null ? null : fresh(`cotangent_${value.name ?? 'output'}`, value.type),
    );
  const carryCotangents = step.results
    .slice(0, carries)
    .map((value, i) => fresh(`cotangent_${step.parameters[consts + i]!.name}`, value.type));
  let active = indices(carries).filter((i) => wanted[consts + i]! && cotangents[i] !== null);
  for (;;) {
    const carried = carryCotangents.map((value, i) => (active.includes(i) ? value : null));
    const found = rules.vjp(step.results, [...carried, ...slices], where(step.parameters, wanted));
    const gradients = step.parameters.map((_, i) => (wanted[i]! ? found.shift()! : null));
    const grown = indices(carries).filter((i) => active.includes(i) || gradients[consts + i] !== null);
    if (grown.length === active.length)
      return { active, carried: active.map((i) => carryCotangents[i]!), slices, gradients };
    active = grown;
  }
}

export function scanVjp(
  b: Builder,
  node: Node<'scan'>,
  cotangents: readonly (Value | null)[],
  rules: ReverseRules,
): readonly (Value | null)[] {
  const { body, consts, carries, reverse } = node.attrs;
  const step = open(body);
  const reversed = reverseStep(node, step, cotangents, rules);
  const { active, gradients } = reversed;
  const summed = indices(consts).filter((i) => gradients[i] !== null);
  const sliced = indices(node.operands.length).filter((i) => i >= consts + carries && gradients[i] !== null);
  const sums = summed.map((i) => fresh(`sum_${step.parameters[i]!.name}`, step.parameters[i]!.type));
  const slices = reversed.slices.filter((slice) => slice !== null);
  const results = [
    ...orZeros(
      b,
      active.map((i) => gradients[consts + i]!),
      reversed.carried,
    ),
    ...summed.map((i, j) => b.add(sums[j]!, gradients[i]!)),
    ...sliced.map((i) => gradients[i]!),
  ];
  const own = [...reversed.carried, ...sums];
  const kept = keptOf(node, step, results, new Set([...own, ...slices]), rules);
  const { func, captured } = closeOver(
    `${body.name}_vjp`,
    [...own, ...slices].map((value) => ({ name: value.name!, role: 'input', value })),
    results.map((value, i) => ({ name: `result_${i}`, role: 'output', value })),
    (value) => kept.has(value),
  );
  const place = captured.map((value) => step.parameters.indexOf(value));
  const stacks = keepResiduals(
    b,
    node,
    step,
    captured.filter((_, i) => isKept(place[i]!, consts, carries)),
  );
  const parameters = func.parameters.map(({ value }) => value);
  const shared = place.map((at) => at >= 0 && at < consts);
  const ofConsts = where(parameters, shared);
  const walked = place.map((at) => (isKept(at, consts, carries) ? stacks.shift()! : node.operands[at]!));
  const made = b.scan(
    ...where(walked, shared),
    ...active.map((i) => cotangents[i] ?? b.like(node.operands[consts + i]!, 0)),
    ...sums.map((sum) => b.like(sum, 0)),
    ...cotangents.slice(carries).filter((cotangent) => cotangent !== null),
    ...where(
      walked,
      shared.map((flag) => !flag),
    ),
    {
      ...node.attrs,
      body: nestedFunc(
        func.name,
        [
          ...ofConsts,
          ...parameters.slice(captured.length),
          ...parameters.slice(0, captured.length).filter((_, i) => !shared[i]!),
        ],
        func.results.map(({ value }) => value),
      ),
      reverse: !reverse,
      consts: ofConsts.length,
      carries: own.length,
    },
  );
  const places = [...active.map((i) => consts + i), ...summed, ...sliced];
  return node.operands.map((_, i) => made[places.indexOf(i)] ?? null);
}

/** A captured value that is neither a constant nor a slice of the step. */
function isKept(place: number, consts: number, carries: number): boolean {
  return place < 0 || (place >= consts && place < consts + carries);
}

/** What the derivative keeps of the step: `own` are its own parameters. */
function keptOf(
  { attrs }: Node<'scan'>,
  step: Opened,
  results: readonly Value[],
  own: ReadonlySet<Value>,
  { table }: ReverseRules,
): Set<Value> {
  const carried = step.parameters.slice(attrs.consts, attrs.consts + attrs.carries);
  return chooseResiduals({
    needed: neededBy(results, own),
    gone: new Set(carried),
    isCostly: (node) => attrs.residuals === 'keep' && isCostly(table, node),
    stored: new Set(step.results.slice(attrs.carries)),
  });
}

/** The values of all steps, stacked. */
function keepResiduals(b: Builder, node: Node<'scan'>, step: Opened, kept: readonly Value[]): Value[] {
  const { carries, body } = node.attrs;
  if (kept.length === 0) return [];
  const results = [...step.results.slice(0, carries), ...kept];
  return b
    .scan(...node.operands, { ...node.attrs, body: nestedFunc(body.name, step.parameters, results) })
    .slice(carries);
}

/**
 * A loop of at most `limit` steps as a scan of so many: a step is taken where the condition holds. Once it does not the carries
 * stay, so it does not hold again, and what is left of the steps computes nothing but the condition.
 */
export function boundedScan(b: Builder, { operands, attrs }: Node<'while'>, limit: number): readonly Value[] {
  const { condition, body, consts } = attrs;
  const { parameters } = open(body);
  const [goesOn] = inlineFunc(condition, parameters);
  const unchanged = open(body).parameters;
  const stay = nestedFunc('stay', unchanged, unchanged.slice(consts));
  // What is kept would be kept of all steps that there might be: carries are, and the step that was taken is computed again.
  const next = b.cond(goesOn!, ...parameters, { then: body, otherwise: stay, residuals: 'recompute' });
  return b.scan(...operands, {
    body: nestedFunc(body.name, parameters, next),
    length: limit,
    reverse: false,
    consts,
    carries: next.length,
    residuals: 'keep',
  });
}

export function whileVjp(
  b: Builder,
  node: Node<'while'>,
  cotangents: readonly (Value | null)[],
  rules: ReverseRules,
): readonly (Value | null)[] {
  const { limit } = node.attrs;
  if (limit === null)
    throw new UserError(
      'a loop without a limit of steps has no reverse derivative: give whileLoop a limit, for example { limit: 100 }',
      node.source,
    );
  const [first] = boundedScan(b, node, limit);
  return scanVjp(b, first!.producer as Node<'scan'>, cotangents, rules);
}
