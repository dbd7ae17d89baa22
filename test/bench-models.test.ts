// The networks of bench/ are the same on both sides before any weight is drawn: shapes, arithmetic and weights agree.
// That they compute the same is checked where they run, by `npm run bench inference`.

import { describe, expect, test } from 'vitest';
import { ashlarModel, modelOf, models, onnxModel, recurrentModels } from '../bench/models/index.ts';

/** Millions of multiply-adds of one image, as torchvision's tables of models count them. */
const published: Readonly<Record<string, number>> = {
  resnet18: 1814,
  squeezenet: 349,
  mobilenetv2: 301,
  resnet50: 4089,
  vgg16: 15_470,
  alexnet: 714,
};

describe.each(Object.keys({ ...models, ...recurrentModels }))('%s', (name) => {
  const ours = ashlarModel(modelOf(name), name);
  const theirs = onnxModel(modelOf(name), name);

  test('has one shape of result and one count of operations on both sides', () => {
    const { inputs, outputs } = theirs.graph;
    const types = (role: string) => ours.definition.func.parameters.filter((parameter) => parameter.role === role);
    expect(types('input').map(({ value }) => value.type)).toEqual(
      inputs.map(({ shape, dtype }) => ({ shape: [...shape], dtype })),
    );
    expect(ours.definition.func.results.map(({ value }) => value.type.shape)).toEqual(
      outputs.map(({ shape }) => [...shape]),
    );
    expect(ours.flops).toBe(theirs.flops);
  });

  test('reads nothing that is not there, and every weight of one side is one of the other', () => {
    const { nodes, initializers, inputs } = theirs.graph;
    const known = new Set([...inputs, ...initializers].map((value) => value.name));
    for (const { op, inputs: operands, outputs } of nodes) {
      for (const operand of operands) expect(known.has(operand), `${op} reads ${operand}`).toBe(true);
      for (const output of outputs) known.add(output);
    }
    const weights = initializers.map((tensor) => tensor.name);
    for (const { name: variable } of ours.definition.variables) expect(weights).toContain(variable);
  });
});

test.each(Object.entries(published))('%s computes as much as is published', (name, millions) => {
  expect(ashlarModel(models[name]!, name).flops / 2e6 / millions).toBeCloseTo(1, 2);
});
