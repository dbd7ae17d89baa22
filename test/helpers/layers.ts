// What tests of layers share: images and weights of small integers, and results compared with literals.

import { type AnyTensor, constant, interpret } from 'ashlar';
import { expect } from 'vitest';
import { expectClose } from './close.ts';

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
/** Element i of an image is (5 i mod 7) − 3, of a weight (3 i mod 5) − 2. */
export const imageElements = (shape: readonly number[]): number[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => ((5 * i) % 7) - 3);
export const weightElements = (shape: readonly number[]): number[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => ((3 * i) % 5) - 2);
export const images = (...shape: number[]): AnyTensor => constant(imageElements(shape), { shape });
export const given = (...elements: number[]) => ({ initializer: () => elements });
export const weights = { initializer: weightElements };

export const evaluated = (tensor: AnyTensor): { shape: readonly number[]; data: Float64Array } =>
  interpret({ tensor }).tensor;

export function expectResult(tensor: AnyTensor, shape: readonly number[], elements: readonly number[]): void {
  const found = evaluated(tensor);
  expect(found.shape).toEqual(shape);
  expectClose(found.data, elements);
}
