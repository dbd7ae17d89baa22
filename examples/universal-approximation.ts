// One hidden layer of ReLU units approximates any continuous function: here x² and 2^x on [0, 10], by ten units whose
// weights are written down, not learned. All first weights are 1 and the biases 0, −1, …, −9, so that unit k wakes at x
// = k; its second weight is the change of slope there, a second difference f(k + 1) − 2f(k) + f(k − 1).
// Run with: npx tsx examples/universal-approximation.ts

import { constant, func, input } from 'ashlar';
import { compile } from 'ashlar/node';

const firstWeights = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
const biases = [0, -1, -2, -3, -4, -5, -6, -7, -8, -9];
/** The slope of the first piece, f(1) − f(0), then the second differences; `start` is f(0). */
const square = { start: 0, secondWeights: [1, 2, 2, 2, 2, 2, 2, 2, 2, 2] };
const powerOfTwo = { start: 1, secondWeights: [1, 1, 2, 4, 8, 16, 32, 64, 128, 256] };

const x = input('x', [21]);
const hidden = x
  .reshape([21, 1])
  .mul(constant(firstWeights, { shape: [10] }))
  .add(constant(biases, { shape: [10] }))
  .relu();

function network({ start, secondWeights }: typeof square) {
  return hidden.matmul(constant(secondWeights, { shape: [10] })).add(start);
}

const outputs = {
  squareByNetwork: network(square),
  square: x.square(),
  powerByNetwork: network(powerOfTwo),
  power: x.mul(Math.LN2).exp(),
};

async function main(): Promise<void> {
  const run = await compile(func({ name: 'approximation', inputs: [x], outputs }));
  const points = Float32Array.from({ length: 21 }, (_, i) => i / 2);
  const found = await run({ x: points });

  console.log('first weights           ', firstWeights.join(' '));
  console.log('biases                  ', biases.join(' '));
  console.log('second weights for x²   ', square.secondWeights.join(' '));
  console.log('second weights for 2^x  ', powerOfTwo.secondWeights.join(' '), ' and output bias 1');
  console.log('\n   x   network       x²   network       2^x');
  points.forEach((point, i) => {
    const cells = [found.squareByNetwork, found.square, found.powerByNetwork, found.power];
    const [a, b, c, d] = cells.map((column) => column[i]!.toFixed(2));
    console.log(
      `${point.toFixed(1).padStart(4)}${a!.padStart(10)}${b!.padStart(9)}${c!.padStart(10)}${d!.padStart(10)}`,
    );
  });
  const squareError = Math.max(...points.map((_, i) => found.squareByNetwork[i]! - found.square[i]!));
  const powerError = Math.max(...points.map((_, i) => found.powerByNetwork[i]! / found.power[i]! - 1));
  console.log(`\ngreatest error for x²: ${squareError.toFixed(2)}, for 2^x: ${(100 * powerError).toFixed(1)}%`);
}

await main();
