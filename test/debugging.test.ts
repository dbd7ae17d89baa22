// The helpers that tell why a network does not learn: each is right about a healthy one and finds the fault in one that has it.

import {
  type AnyTensor,
  constant,
  customVjp,
  func,
  input,
  interpret,
  nn,
  overfitOneBatch,
  stopGradient,
  type Tensor,
} from 'ashlar';
import { compile } from 'ashlar/node';
import { beforeEach, describe, expect, it } from 'vitest';

beforeEach(() => {
  nn.resetNames();
  nn.setSeed(1);
});

const x = input('x', [4, 3]);
const given = { x: Array.from({ length: 12 }, (_, i) => Math.sin(3 * i)) };

describe('gradientCheck', () => {
  it('finds derived gradients right, to a millionth', () => {
    const network = nn.sequential(nn.dense(3, 5), nn.tanh, nn.dense(5, 2));
    const errors = nn.gradientCheck(nn.softmax(network(x), -1).square().sum(), { given });
    expect(errors.map(({ variable }) => variable)).toEqual(network.variables.map(({ name }) => name));
    for (const { error } of errors) expect(error).toBeLessThan(1e-6);
  });

  it('finds the element where a rule of the user’s is wrong', () => {
    const halved = customVjp(
      (v: Tensor<[4, 5], 'f32'>) => v.tanh(),
      ({ outputs, cotangents }) => {
        const slope: AnyTensor = (outputs as AnyTensor).square().neg().add(1);
        return [slope.mul(cotangents as AnyTensor).mul(0.5)] as never;
      },
    );
    const [first, second] = [nn.dense(3, 5), nn.dense(5, 2)];
    const loss = second(halved(first(x) as never) as AnyTensor)
      .square()
      .sum();
    const errors = nn.gradientCheck(loss, { given });
    const wrong = errors.filter(({ error }) => error > 1e-3);
    expect(wrong.map(({ variable }) => variable)).toEqual(['dense1.weight', 'dense1.bias']);
    for (const { gradient, slope } of wrong) expect(gradient / slope).toBeCloseTo(0.5, 5);
  });

  it('checks gradients that are given, at values that are given', () => {
    const layer = nn.dense(3, 1, { bias: false });
    const [weight] = layer.variables as [nn.Layer['variables'][number]];
    const loss = layer(x).square().sum();
    const byHand = x
      .transpose()
      .matmul(layer(x) as Tensor<[4, 1], 'f32'>)
      .mul(2) as AnyTensor;
    const at = { ...given, [weight.name]: [1, 2, 3] };
    const right = { given: at, variables: [weight], gradients: [byHand] };
    expect(nn.gradientCheck(loss, right)[0]!.error).toBeLessThan(1e-6);
    const wrong = { ...right, gradients: [byHand.mul(0.5)] };
    expect(nn.gradientCheck(loss, wrong)[0]!.error).toBeCloseTo(0.5, 5);
    expect(() => nn.gradientCheck(loss, { ...right, gradients: [] })).toThrow('1 gradients expected, 0 given');
    expect(() => nn.gradientCheck(layer(x))).toThrow('a loss of one number expected');
  });

  it('says where a gradient stops', () => {
    const layer = nn.dense(3, 2);
    const loss = stopGradient(layer(x) as AnyTensor)
      .square()
      .sum()
      .add(layer.variables[1]!.sum());
    const errors = nn.gradientCheck(loss, { given, variables: layer.variables });
    expect(errors[0]).toMatchObject({ variable: 'dense1.weight', gradient: 0, error: 1 });
  });
});

describe('deadUnits', () => {
  it('are above 0 for no example and nowhere in it', () => {
    const dense = constant([
      [0, 1, -1],
      [0, 0, -2],
    ]);
    expect([...interpret({ dead: nn.deadUnits(dense) }).dead.data]).toEqual([1, 0, 1]);
    const images = constant([[[[0, 0]], [[0, 3]]]]);
    expect([...interpret({ dead: nn.deadUnits(images) }).dead.data]).toEqual([0, 0].map((_, i) => (i === 0 ? 1 : 0)));
    expect(() => nn.deadUnits(constant([1]))).toThrow('[N, units, ..] expected');
  });
});

describe('statistics', () => {
  it.each(['reference', 'c', 'js'] as const)('names how elements are distributed (%s)', async (target) => {
    const values = [0, 0, 3, -1];
    const given = input('given', [2, 2]);
    const tensor = nn.statistics(given);
    const found =
      target === 'reference'
        ? interpret({ tensor }, { given: values }).tensor.data
        : (
            await (
              await compile(func({ name: 's', inputs: [given], outputs: { tensor } }), { target })
            )({
              given: Float32Array.from(values),
            })
          ).tensor;
    const { mean, deviation, ...others } = nn.readStatistics(found);
    expect(mean).toBeCloseTo(0.5, 6);
    expect(deviation).toBeCloseTo(1.5, 6);
    expect(others).toEqual({ least: -1, greatest: 3, zeros: 0.5, notFinite: 0 });
  });

  it('counts what is not finite', () => {
    const tensor = nn.statistics(input('given', [5]));
    const found = interpret(
      { tensor },
      { given: [1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0] },
    );
    expect(nn.readStatistics(found.tensor.data).notFinite).toBeCloseTo(3, 6);
    expect(() => nn.readStatistics([1])).toThrow('6 values of `statistics` expected, 1 given');
  });
});

describe('overfitOneBatch', () => {
  const batch = { x: Float32Array.from(given.x), y: Int32Array.of(0, 1, 1, 0) };
  const y = input('y', [4], 'i32');
  const stepOf = async (logits: AnyTensor, trained: nn.Layer['variables']) => {
    const loss = nn.crossEntropy(logits, y).mean();
    const updates = nn.adam(loss, trained, { lr: 0.05 });
    return compile(func({ name: 'step', inputs: [x, y], outputs: { loss }, updates }), { target: 'js' });
  };

  it('succeeds where model, loss and labels belong together', async () => {
    const network = nn.sequential(nn.dense(3, 8), nn.tanh, nn.dense(8, 2));
    const { succeeded, losses, unmoved } = await overfitOneBatch(await stepOf(network(x), network.variables), batch);
    expect(succeeded).toBe(true);
    expect(losses.at(-1)!).toBeLessThanOrEqual(0.01 * losses[0]!);
    expect(losses.length).toBeLessThan(300);
    expect(unmoved).toEqual([]);
  });

  it('fails on a loss that cannot vanish: of probabilities taken for logits', async () => {
    const network = nn.sequential(nn.dense(3, 8), nn.tanh, nn.dense(8, 2), nn.softmax);
    const { succeeded, losses } = await overfitOneBatch(await stepOf(network(x), network.variables), batch);
    expect(succeeded).toBe(false);
    expect(losses.length).toBe(300);
    // ln(1 + e⁻¹), where one probability is 1 and the other 0.
    expect(losses.at(-1)!).toBeGreaterThan(Math.log(1 + Math.exp(-1)) - 1e-3);
  });

  it('names the variables that nothing moves', async () => {
    const network = nn.sequential(nn.dense(3, 8), nn.tanh, nn.dense(8, 2));
    const step = await stepOf(network(x), network.variables.slice(2));
    expect((await overfitOneBatch(step, batch, { steps: 5 })).unmoved).toEqual(['dense1.weight', 'dense1.bias']);
    await expect(overfitOneBatch(step, batch, { loss: 'los' })).rejects.toThrow(/los/);
  });
});
