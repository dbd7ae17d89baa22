// What a convolution and a max-pool do, number by number: an image of 5 × 6 pixels, a 2 × 3 filter that answers where
// dark turns to bright from left to right, ReLU, and the greatest answer of each 2 × 2 block.
// Run with: npx tsx examples/edge-filter.ts

import { type AnyTensor, constant, conv, func, maxPool, slice, stack } from 'ashlar';
import { compile } from 'ashlar/node';

const image = constant(
  [
    [0, 0, 9, 9, 9, 0],
    [0, 0, 9, 9, 9, 0],
    [0, 0, 9, 9, 9, 0],
    [0, 0, 0, 9, 9, 0],
    [0, 0, 0, 9, 9, 0],
  ],
  { shape: [5, 6] },
);
const filter = constant(
  [
    [-1, 0, 1],
    [-1, 0, 1],
  ],
  { shape: [2, 3] },
);

/** The pixels under the filter at each of its positions: `[4, 4, 2, 3]`. */
const windows = stack(
  Array.from({ length: 4 }, (_, row) =>
    stack(Array.from({ length: 4 }, (_, column) => slice(image, [row, column], [row + 2, column + 3]))),
  ),
);
/** A convolution written out: at each position the products of pixel and weight, and their sum. */
const products = windows.mul(filter as AnyTensor);
const sums = products.sum([2, 3]);

/** The same by the operation, for one image of one channel and one filter: `[1, 1, 4, 4]`. */
const edges = conv(image.reshape([1, 1, 5, 6]), filter.reshape([1, 1, 2, 3]));
const rectified = edges.relu();
const pooled = maxPool(rectified, 2);

/** Numbers in rows of `width`, in columns. */
function grid(numbers: ArrayLike<number>, width: number): string {
  const cells = Array.from(numbers, (number) => String(number).padStart(5));
  const rows = Array.from({ length: cells.length / width }, (_, row) => cells.slice(row * width, (row + 1) * width));
  return rows.map((row) => row.join('')).join('\n');
}

async function main(): Promise<void> {
  const outputs = { image, filter, windows, products, sums, edges, rectified, pooled };
  const run = await compile(func({ name: 'edge_filter', outputs }));
  const found = await run({});

  console.log(`image\n${grid(found.image, 6)}`);
  console.log(`\nfilter\n${grid(found.filter, 3)}`);
  console.log('\nthe filter along the first row: pixels, products with the weights, their sum');
  for (let column = 0; column < 4; column++) {
    const at = [column * 6, column * 6 + 6] as const;
    const pixels = Array.from(found.windows.slice(...at)).join(' ');
    const terms = Array.from(found.products.slice(...at), (term) => (term < 0 ? `(${term})` : `${term}`)).join(' + ');
    console.log(`  column ${column}: ${pixels}  →  ${terms} = ${found.sums[column]}`);
  }
  console.log(`\nat every position\n${grid(found.sums, 4)}`);
  const same = found.edges.every((edge, i) => edge === found.sums[i]);
  console.log(`\nconv gives ${same ? 'the same' : 'something else'}; after ReLU\n${grid(found.rectified, 4)}`);
  console.log('\nthe greatest of each 2 × 2 block');
  found.pooled.forEach((greatest, block) => {
    const corner = Math.floor(block / 2) * 8 + (block % 2) * 2;
    const cells = [corner, corner + 1, corner + 4, corner + 5].map((cell) => found.rectified[cell]);
    console.log(`  max(${cells.join(', ')}) = ${greatest}`);
  });
  console.log(`\nmax-pool\n${grid(found.pooled, 2)}`);
}

await main();
