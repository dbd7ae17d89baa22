// Optimizers: three steps of each against the published formula, written out here once more in plain double precision
// (sources at each); and the schedules of the learning rate against literal values.

import { type AnyTensor, type AnyVariable, constant, full, func, input, interpret, nn, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { describe, expect, it } from 'vitest';
import { expectClose } from './helpers/close.ts';

const { schedules } = nn;

// The loss Σ a p²/2 + b q⁴/4 has the gradients a p and b q³; the parameters are p of two elements and q, a scalar.
const curvature = [3, -0.5];
const quartic = 2;
const first = [0.7, -1.3, 0.9];
const gradientAt = ([p0, p1, q]: readonly number[]): number[] => [
  curvature[0]! * p0!,
  curvature[1]! * p1!,
  quartic * q! ** 3,
];

interface Model {
  readonly loss: AnyTensor;
  readonly parameters: readonly AnyVariable[];
}

function model(dtype: 'f32' | 'f64' = 'f32'): Model {
  const p: AnyVariable = variable('p', [2], { dtype, initial: () => first.slice(0, 2) });
  const q: AnyVariable = variable('q', [], { dtype, initial: first[2]! });
  const scale: AnyTensor = constant(curvature, { shape: [2], dtype });
  const power: AnyTensor = q
    .square()
    .square()
    .mul(quartic / 4);
  return { loss: p.square().mul(scale).mul(0.5).sum().add(power), parameters: [p, q] };
}

type Options = nn.AdamOptions & { readonly momentum?: number; readonly decay?: number };
type Optimizer = (loss: AnyTensor, parameters: readonly AnyVariable[] | undefined, options: Options) => nn.Update[];

/** One element's rule: new value of a parameter from its gradient; `slots` keep what the rule keeps. */
type Rule = (value: number, gradient: number, slots: number[], rate: number, count: number, options: Options) => number;

/** Adam's change without the learning rate (Kingma and Ba 2015, algorithm 1). */
function adamDirection(g: number, slots: number[], t: number, { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: Options) {
  slots[0] = beta1 * (slots[0] ?? 0) + (1 - beta1) * g;
  slots[1] = beta2 * (slots[1] ?? 0) + (1 - beta2) * g * g;
  return slots[0] / (1 - beta1 ** t) / (Math.sqrt(slots[1] / (1 - beta2 ** t)) + epsilon);
}

interface Case {
  readonly name: string;
  readonly optimizer: Optimizer;
  readonly rule: Rule;
  /** Weight decay is not part of the gradient; the number is the default. */
  readonly decoupledDecay?: number;
}

const cases: readonly Case[] = [
  { name: 'sgd', optimizer: nn.sgd, rule: (p, g, _, rate) => p - rate * g },
  {
    // B. T. Polyak, USSR Comput. Math. Math. Phys. 4 (1964): v ← μ v + g.
    name: 'momentum',
    optimizer: nn.momentum,
    rule: (p, g, slots, rate, _, { momentum = 0.9 }) => {
      slots[0] = momentum * (slots[0] ?? 0) + g;
      return p - rate * slots[0];
    },
  },
  {
    // The point looked at is θ + μ v of I. Sutskever et al., ICML 2013, eq. 3 and 4, in Y. Bengio's variables.
    name: 'nesterov',
    optimizer: nn.nesterov,
    rule: (p, g, slots, rate, _, { momentum = 0.9 }) => {
      slots[0] = momentum * (slots[0] ?? 0) + g;
      return p - rate * (g + momentum * slots[0]);
    },
  },
  {
    // J. Duchi et al., JMLR 12 (2011), section 1.1 with the diagonal.
    name: 'adagrad',
    optimizer: nn.adagrad,
    rule: (p, g, slots, rate, _, { epsilon = 1e-8 }) => {
      slots[0] = (slots[0] ?? 0) + g * g;
      return p - (rate * g) / (Math.sqrt(slots[0]) + epsilon);
    },
  },
  {
    // T. Tieleman, G. Hinton, lecture 6.5 (2012).
    name: 'rmsprop',
    optimizer: nn.rmsprop,
    rule: (p, g, slots, rate, _, { decay = 0.9, epsilon = 1e-8 }) => {
      slots[0] = decay * (slots[0] ?? 0) + (1 - decay) * g * g;
      return p - (rate * g) / (Math.sqrt(slots[0]) + epsilon);
    },
  },
  {
    name: 'adam',
    optimizer: nn.adam,
    rule: (p, g, slots, rate, t, options) => p - rate * adamDirection(g, slots, t, options),
  },
  {
    // I. Loshchilov, F. Hutter, ICLR 2019, algorithm 2, line 12.
    name: 'adamw',
    optimizer: nn.adamw,
    decoupledDecay: 0.01,
    rule: (p, g, slots, rate, t, options) =>
      p - rate * adamDirection(g, slots, t, options) - rate * (options.weightDecay ?? 0.01) * p,
  },
];

const steps = 3;

/** Parameters after each step by the rule, in double precision. */
function expected({ rule, decoupledDecay }: Case, options: Options, rateAt: (step: number) => number): number[][] {
  let values = first;
  const slots = first.map((): number[] => []);
  return Array.from({ length: steps }, (_, step) => {
    let gradient = gradientAt(values);
    const { clipValue, clipNorm, weightDecay = 0 } = options;
    if (clipValue !== undefined) gradient = gradient.map((g) => Math.min(clipValue, Math.max(-clipValue, g)));
    const norm = Math.hypot(...gradient);
    if (clipNorm !== undefined && norm > clipNorm) gradient = gradient.map((g) => (g * clipNorm) / norm);
    if (decoupledDecay === undefined) gradient = gradient.map((g, i) => g + weightDecay * values[i]!);
    values = values.map((value, i) => rule(value, gradient[i]!, slots[i]!, rateAt(step), step + 1, options));
    return values;
  });
}

/** The same by the reference evaluation of the optimizer's expressions. */
function interpreted(optimizer: Optimizer, options: Options): number[][] {
  const { loss, parameters } = model();
  const updates = optimizer(loss, parameters, options);
  const next = Object.fromEntries(updates.map(([target, value]) => [target.name, value]));
  const state: Record<string, ArrayLike<number>> = {};
  return Array.from({ length: steps }, () => {
    for (const [name, { data }] of Object.entries(interpret(next, { ...state }))) state[name] = data;
    return [...Array.from(state.p!), ...Array.from(state.q!)];
  });
}

const variants: readonly { readonly variant: string; readonly options: Omit<Options, 'lr'> }[] = [
  { variant: 'its defaults', options: {} },
  { variant: 'weight decay', options: { weightDecay: 0.1 } },
  { variant: 'gradients cut to ±0.5', options: { clipValue: 0.5 } },
  { variant: 'a joint norm of at most 1', options: { clipNorm: 1 } },
  { variant: 'a joint norm that is never reached', options: { clipNorm: 100 } },
  { variant: 'both cuts and weight decay', options: { clipValue: 1.5, clipNorm: 1, weightDecay: 0.3 } },
  {
    variant: 'other coefficients',
    options: { momentum: 0.5, decay: 0.7, beta1: 0.6, beta2: 0.8, epsilon: 0.01 },
  },
  { variant: 'no memory', options: { momentum: 0, decay: 0, beta1: 0, beta2: 0 } },
];

describe.each(cases)('$name', (which) => {
  it.each(variants)('takes three steps with $variant', ({ options }) => {
    const given = { ...options, lr: 0.05 };
    const found = interpreted(which.optimizer, given);
    for (const [step, values] of expected(which, given, () => 0.05).entries()) expectClose(found[step]!, values, 1e-13);
  });

  it('takes the rate of each step from a schedule that counts from 0', () => {
    const rates = [0.1, 0.05, 0.025];
    const found = interpreted(which.optimizer, { lr: schedules.exponentialDecay(0.1, 1, 0.5) });
    const wanted = expected(which, { lr: 0 }, (step) => rates[step]!);
    wanted.forEach((values, step) => {
      expectClose(found[step]!, values, 1e-13);
    });
  });

  it.each([
    { dtype: 'f32', tolerance: 1e-6 },
    { dtype: 'f64', tolerance: 1e-14 },
  ] as const)('takes the same steps in compiled C of $dtype', async ({ dtype, tolerance }) => {
    const { loss, parameters } = model(dtype);
    const options = { lr: 0.05, weightDecay: 0.1, clipNorm: 1 };
    const updates = which.optimizer(loss, parameters, options);
    const run = await compile(func({ name: `${which.name}_${dtype}`, outputs: { loss }, updates }), { target: 'c' });
    for (const values of expected(which, options, () => 0.05)) {
      run({});
      const found = [run.state.get('p'), run.state.get('q')].flatMap((array) => Array.from(array as Float64Array));
      expectClose(found, values, tolerance);
    }
    expect(Array.from(run.state.get('optimizer.step') as Int32Array)).toEqual([steps]);
  });
});

describe('every optimizer', () => {
  it('adamw decays by 0.01 unless told', () => {
    const { loss, parameters } = model();
    const values = (options: Options): number[] =>
      Array.from(interpret({ p: nn.adamw(loss, parameters, options).find(([{ name }]) => name === 'p')![1] }).p.data);
    expectClose(values({ lr: 0.05 }), values({ lr: 0.05, weightDecay: 0.01 }), 0);
    const still = values({ lr: 0.05, weightDecay: 0 });
    expectClose(
      values({ lr: 0.05 }),
      still.map((value, i) => value - 0.05 * 0.01 * first[i]!),
    );
  });

  it('trains all trainable variables of the loss, or those listed', () => {
    const { loss, parameters } = model();
    const names = (updates: nn.Update[]): string[] => updates.map(([{ name }]) => name);
    expect(names(nn.sgd(loss, undefined, { lr: 1 }))).toEqual(['p', 'q', 'optimizer.step']);
    expect(names(nn.sgd(loss, [parameters[1]!], { lr: 1, name: 'second' }))).toEqual(['q', 'second.step']);
    expect(names(nn.adam(loss, [parameters[0]!], { lr: 1 }))).toEqual(['p.adam.m', 'p.adam.v', 'p', 'optimizer.step']);
    const frozen: AnyVariable = variable('frozen', [], { trainable: false });
    expect(names(nn.sgd(loss.add(frozen), undefined, { lr: 1 }))).toEqual(['p', 'q', 'optimizer.step']);
  });

  it('leaves a parameter alone that the loss does not depend on', () => {
    const idle: AnyVariable = variable('idle', [2], { initial: 4 });
    const [[, next]] = nn.adam(model().loss, [idle], { lr: 1 }).slice(2) as [nn.Update];
    expectClose(interpret({ next }).next.data, [4, 4]);
  });

  it('keeps slots and the step counter from training themselves', () => {
    const { loss, parameters } = model();
    const slots = nn.adam(loss, parameters, { lr: 1 }).filter(([{ name }]) => name !== 'p' && name !== 'q');
    expect(slots.map(([{ trainable }]) => trainable)).toEqual([false, false, false, false, false]);
  });

  it('refuses a loss that is no scalar or has nothing to train, and cuts that leave nothing', () => {
    const { loss, parameters } = model();
    const x: AnyTensor = input('x', [2]);
    for (const { optimizer, name } of cases) {
      expect(() => optimizer(x.sum(), undefined, { lr: 1 })).toThrow(
        `${name}: the loss depends on no trainable variable`,
      );
      expect(() => optimizer(parameters[0]!.mul(x), undefined, { lr: 1 })).toThrow(/a float scalar expected, f32\[2\]/);
      expect(() => optimizer(loss, parameters, { lr: 1, clipNorm: 0 })).toThrow(
        `${name}: a clipNorm above 0 expected, 0 given`,
      );
      expect(() => optimizer(loss, parameters, { lr: 1, clipValue: -1 })).toThrow(
        `${name}: a clipValue above 0 expected, -1 given`,
      );
    }
  });

  it('trains parameters of two precisions together', () => {
    const narrow: AnyVariable = variable('narrow', [], { initial: 3 });
    const wide: AnyVariable = variable('wide', [], { dtype: 'f64', initial: 4 });
    const loss: AnyTensor = narrow.square().mul(0.5).cast('f64').add(wide.square().mul(0.5));
    // The gradient (3, 4) of norm 5 is scaled to (0.6, 0.8).
    const [[, first], [, second]] = nn.sgd(loss, [narrow, wide], { lr: 1, clipNorm: 1 }) as [nn.Update, nn.Update];
    expect([first.dtype, second.dtype]).toEqual(['f32', 'f64']);
    expectClose(interpret({ first }).first.data, [2.4]);
    expectClose(interpret({ second }).second.data, [3.2]);
  });
});

describe('globalNorm', () => {
  it('is the root of the sum of all squares', () => {
    const tensors = [constant([2, -4]), constant([[5], [6]]), full([], 0)] as AnyTensor[];
    expectClose(interpret({ norm: nn.globalNorm(tensors) }).norm.data, [9]);
  });
});

describe('schedules', () => {
  const ratesAt = (schedule: nn.schedules.Schedule, ...at: number[]): number[] =>
    at.flatMap((step) => Array.from(interpret({ rate: schedule(full([], step)) }).rate.data));

  it('constant', () => {
    expectClose(ratesAt(schedules.constant(0.3), 0, 1, 1e6), [0.3, 0.3, 0.3]);
  });

  it('stepDecay: rate · factor^⌊step / every⌋', () => {
    expectClose(ratesAt(schedules.stepDecay(2, 10), 0, 9, 10, 19, 20, 30), [2, 2, 0.2, 0.2, 0.02, 0.002]);
    expectClose(ratesAt(schedules.stepDecay(2, 3, 0.5), 0, 2, 3, 6), [2, 2, 1, 0.5]);
    expectClose(ratesAt(schedules.stepDecay(2, 3, 0), 0, 2, 3, 6), [2, 2, 0, 0]);
  });

  it('exponentialDecay: rate · factor^(step / every)', () => {
    expectClose(ratesAt(schedules.exponentialDecay(2, 10, 0.25), 0, 5, 10, 20), [2, 1, 0.5, 0.125]);
  });

  it('cosine: from rate to final in half a cosine, then final', () => {
    // final + (rate − final)(1 + cos(π step / steps)) / 2
    expectClose(ratesAt(schedules.cosine(1, 6), 0, 2, 3, 4, 6, 7, 100), [1, 0.75, 0.5, 0.25, 0, 0, 0]);
    expectClose(ratesAt(schedules.cosine(1, 6, 0.2), 0, 2, 3, 6, 100), [1, 0.8, 0.6, 0.2, 0.2]);
  });

  it('polynomial: from rate to final by a power, then final', () => {
    expectClose(ratesAt(schedules.polynomial(1, 4), 0, 1, 2, 4, 9), [1, 0.75, 0.5, 0, 0]);
    expectClose(ratesAt(schedules.polynomial(1, 4, 2, 0.2), 0, 2, 4, 9), [1, 0.4, 0.2, 0.2]);
    expectClose(ratesAt(schedules.polynomial(1, 4, 0.5), 0, 3, 4), [1, 0.5, 0]);
  });

  it('warmUp: rises linearly, reaching the schedule at its end', () => {
    const warm = schedules.warmUp(4, schedules.constant(0.8));
    expectClose(ratesAt(warm, 0, 1, 2, 3, 4, 50), [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]);
    expectClose(ratesAt(schedules.warmUp(2, schedules.polynomial(1, 4)), 0, 1, 2, 4), [0.5, 0.75, 0.5, 0]);
    expectClose(ratesAt(schedules.warmUp(0, schedules.constant(0.8)), 0, 1), [0.8, 0.8]);
  });

  it('in compiled C: every multiple of a period begins a new one', async () => {
    const step = input('step', [200]);
    const run = await compile(
      func({ name: 'schedule', inputs: [step], outputs: { rate: schedules.stepDecay(1, 7, 0.5)(step) } }),
      { target: 'c' },
    );
    const { rate } = run({ step: Float32Array.from({ length: 200 }, (_, i) => i) });
    expectClose(
      rate,
      Array.from({ length: 200 }, (_, i) => 0.5 ** Math.floor(i / 7)),
      1e-7,
    );
  });

  it('refuse periods that are not above 0', () => {
    expect(() => schedules.stepDecay(1, 0)).toThrow('stepDecay: a period above 0 expected, 0 given');
    expect(() => schedules.exponentialDecay(1, -1, 0.5)).toThrow(
      'exponentialDecay: a period above 0 expected, -1 given',
    );
    expect(() => schedules.cosine(1, 0)).toThrow('cosine: a period above 0 expected, 0 given');
    expect(() => schedules.polynomial(1, Number.NaN)).toThrow('polynomial: a period above 0 expected, NaN given');
  });
});
