// Optimizers: from a loss and variables to the variables' new values, as expressions. Slots and the step counter are
// variables too (`<parameter>.adam.m`), so checkpoints hold them. Every optimizer returns pairs for func({ updates }).

import { UserError } from '../ir/errors.ts';
import { grad } from '../lang/derivatives.ts';
import { variablesOf } from '../lang/func.ts';
import type { AnyTensor } from '../lang/tensor.ts';
import { type AnyVariable, variable } from '../lang/variable.ts';
import { constant as constantRate, type Schedule } from './schedules.ts';

export type Update = readonly [AnyVariable, AnyTensor];

export interface OptimizerOptions {
  /** Learning rate, or a schedule of it. */
  readonly lr: number | Schedule;
  /** Adds λ·parameter to the gradient (AdamW: subtracts lr·λ·parameter instead). Default 0. */
  readonly weightDecay?: number;
  /** Gradients are cut to ±clipValue. */
  readonly clipValue?: number;
  /** Gradients are scaled so that their joint norm is at most this. */
  readonly clipNorm?: number;
  /** Prefix of the step counter's name. Default 'optimizer'. */
  readonly name?: string;
}

/** What an optimizer's rule sees for one parameter: tensors of its dtype. */
interface Context {
  readonly rate: AnyTensor;
  /** Steps done before this one, a scalar. */
  readonly step: AnyTensor;
  /** A slot of the parameter's shape, zeros at first. */
  slot(kind: string): AnyVariable;
}

/** New values for a parameter and its slots. */
type Rule = (parameter: AnyVariable, gradient: AnyTensor, context: Context) => Update[];

function optimizer(
  kind: string,
  loss: AnyTensor,
  parameters: readonly AnyVariable[] | undefined,
  options: OptimizerOptions,
  rule: Rule,
  decayGradient = true,
): Update[] {
  for (const cut of ['clipValue', 'clipNorm'] as const)
    if (options[cut] !== undefined && !(options[cut] > 0))
      throw new UserError(`${kind}: a ${cut} above 0 expected, ${options[cut]} given`);
  const trained = (parameters ?? variablesOf(loss)).filter(({ trainable }) => trainable);
  if (trained.length === 0) throw new UserError(`${kind}: the loss depends on no trainable variable`);
  const counter: AnyVariable = variable(`${options.name ?? 'optimizer'}.step`, [], { dtype: 'i32', initial: 0 });
  const schedule = typeof options.lr === 'number' ? constantRate(options.lr) : options.lr;
  const gradients = clipped(grad(loss, trained) as AnyTensor[], options);
  const { weightDecay = 0 } = options;
  const updates = trained.flatMap((parameter, i) => {
    const { dtype, shape } = parameter.type;
    const step: AnyTensor = counter.cast(dtype);
    const context: Context = {
      rate: schedule(step).cast(dtype),
      step,
      slot: (name) => variable(`${parameter.name}.${kind}.${name}`, shape, { dtype, trainable: false }),
    };
    const gradient = decayGradient && weightDecay !== 0 ? gradients[i]!.add(parameter.mul(weightDecay)) : gradients[i]!;
    return rule(parameter, gradient, context);
  });
  return [...updates, [counter, counter.add(1)]];
}

function clipped(gradients: readonly AnyTensor[], { clipValue, clipNorm }: OptimizerOptions): AnyTensor[] {
  let result = [...gradients];
  if (clipValue !== undefined) result = result.map((gradient) => gradient.maximum(-clipValue).minimum(clipValue));
  if (clipNorm === undefined) return result;
  // clipNorm / max(norm, clipNorm): 1 where the norm is small enough.
  const scale: AnyTensor = globalNorm(result).maximum(clipNorm).pow(-1).mul(clipNorm);
  return result.map((gradient) => gradient.mul(scale.cast(gradient.dtype)));
}

/** √Σ‖g‖² over all tensors, in the dtype of the first. */
export function globalNorm(tensors: readonly AnyTensor[]): AnyTensor {
  const squares = tensors.map((tensor): AnyTensor => tensor.square().sum());
  return squares.reduce((sum, square) => sum.add(square.cast(sum.dtype))).sqrt();
}

/** p ← p − lr·g. */
export function sgd(
  loss: AnyTensor,
  parameters: readonly AnyVariable[] | undefined,
  options: OptimizerOptions,
): Update[] {
  return optimizer('sgd', loss, parameters, options, (p, g, { rate }) => [[p, p.sub(g.mul(rate))]]);
}

export interface MomentumOptions extends OptimizerOptions {
  /** Default 0.9. */
  readonly momentum?: number;
}

/** v ← μv + g, p ← p − lr·v. B. T. Polyak 1964. */
export function momentum(
  loss: AnyTensor,
  parameters: readonly AnyVariable[] | undefined,
  options: MomentumOptions,
): Update[] {
  return optimizer('momentum', loss, parameters, options, (p, g, { rate, slot }) => {
    const v = slot('v');
    const next: AnyTensor = v.mul(options.momentum ?? 0.9).add(g);
    return [
      [v, next],
      [p, p.sub(next.mul(rate))],
    ];
  });
}

/** v ← μv + g, p ← p − lr·(g + μv). Y. Nesterov 1983, in the form of I. Sutskever et al., ICML 2013. */
export function nesterov(
  loss: AnyTensor,
  parameters: readonly AnyVariable[] | undefined,
  options: MomentumOptions,
): Update[] {
  const { momentum: mu = 0.9 } = options;
  return optimizer('nesterov', loss, parameters, options, (p, g, { rate, slot }) => {
    const v = slot('v');
    const next: AnyTensor = v.mul(mu).add(g);
    return [
      [v, next],
      [p, p.sub(g.add(next.mul(mu)).mul(rate))],
    ];
  });
}

export interface EpsilonOptions extends OptimizerOptions {
  /** Added to the root that divides. Default 1e-8. */
  readonly epsilon?: number;
}

/** s ← s + g², p ← p − lr·g/(√s + ε). J. Duchi et al., JMLR 12 (2011). */
export function adagrad(
  loss: AnyTensor,
  parameters: readonly AnyVariable[] | undefined,
  options: EpsilonOptions,
): Update[] {
  return optimizer('adagrad', loss, parameters, options, (p, g, { rate, slot }) => {
    const s = slot('s');
    const next: AnyTensor = s.add(g.square());
    return [
      [s, next],
      [p, p.sub(g.mul(rate).div(next.sqrt().add(options.epsilon ?? 1e-8)))],
    ];
  });
}

/** s ← ρs + (1 − ρ)g², p ← p − lr·g/(√s + ε). T. Tieleman, G. Hinton 2012, lecture 6.5. */
export function rmsprop(
  loss: AnyTensor,
  parameters: readonly AnyVariable[] | undefined,
  options: EpsilonOptions & { readonly decay?: number },
): Update[] {
  const { decay = 0.9 } = options;
  return optimizer('rmsprop', loss, parameters, options, (p, g, { rate, slot }) => {
    const s = slot('s');
    const next: AnyTensor = s.mul(decay).add(g.square().mul(1 - decay));
    return [
      [s, next],
      [p, p.sub(g.mul(rate).div(next.sqrt().add(options.epsilon ?? 1e-8)))],
    ];
  });
}

export interface AdamOptions extends EpsilonOptions {
  /** Default 0.9 and 0.999. */
  readonly beta1?: number;
  readonly beta2?: number;
}

function adamRule({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions, decoupledDecay: number): Rule {
  return (p, g, { rate, step, slot }) => {
    const m = slot('m');
    const v = slot('v');
    const count: AnyTensor = step.add(1);
    const nextM: AnyTensor = m.mul(beta1).add(g.mul(1 - beta1));
    const nextV: AnyTensor = v.mul(beta2).add(g.square().mul(1 - beta2));
    // 1 − βᵗ = −expm1(t log β), exact for small t.
    const correction1: AnyTensor = count.mul(Math.log(beta1)).expm1().neg();
    const correction2: AnyTensor = count.mul(Math.log(beta2)).expm1().neg();
    // √(v/c) as √v · 1/√c: the factor is a scalar, which leaves each element one division.
    const deviation: AnyTensor = nextV.sqrt().mul(correction2.rsqrt());
    const change: AnyTensor = nextM.mul(rate.div(correction1)).div(deviation.add(epsilon));
    const decayed: AnyTensor = decoupledDecay === 0 ? p : p.mul(rate.mul(-decoupledDecay).add(1));
    return [
      [m, nextM],
      [v, nextV],
      [p, decayed.sub(change)],
    ];
  };
}

/** D. P. Kingma, J. Ba, ICLR 2015, algorithm 1. */
export function adam(loss: AnyTensor, parameters: readonly AnyVariable[] | undefined, options: AdamOptions): Update[] {
  return optimizer('adam', loss, parameters, options, adamRule(options, 0));
}

/** Adam with decoupled weight decay (default 0.01). I. Loshchilov, F. Hutter, ICLR 2019, algorithm 2. */
export function adamw(loss: AnyTensor, parameters: readonly AnyVariable[] | undefined, options: AdamOptions): Update[] {
  return optimizer('adamw', loss, parameters, options, adamRule(options, options.weightDecay ?? 0.01), false);
}
