// Plain stacks of convolutions with large dense layers behind them: most of their weights are read once per image.

import type { Net } from './net.ts';

type Operand = { readonly shape: readonly number[] };

/** Without dropout, which does nothing in inference. */
function classifier<T extends Operand>(net: Net<T>, x: T): T {
  const first = net.relu(net.dense(net.flatten(x), 4096));
  return net.dense(net.relu(net.dense(first, 4096)), 1000, 1);
}

/** K. Simonyan, A. Zisserman, ICLR 2015, table 1, configuration D. */
export function vgg16<T extends Operand>(net: Net<T>): T {
  let x = net.input([1, 3, 224, 224]);
  for (const [channels, count] of [
    [64, 2],
    [128, 2],
    [256, 3],
    [512, 3],
    [512, 3],
  ] as const) {
    for (let i = 0; i < count; i++) x = net.relu(net.conv(x, channels, 3, { padding: 1 }));
    x = net.maxPool(x, 2);
  }
  return classifier(net, x);
}

/** The one-column form of A. Krizhevsky 2014 (arXiv:1404.5997), as in torchvision. */
export function alexnet<T extends Operand>(net: Net<T>): T {
  let x = net.input([1, 3, 224, 224]);
  x = net.maxPool(net.relu(net.conv(x, 64, 11, { stride: 4, padding: 2 })), 3, 2);
  x = net.maxPool(net.relu(net.conv(x, 192, 5, { padding: 2 })), 3, 2);
  x = net.relu(net.conv(x, 384, 3, { padding: 1 }));
  x = net.relu(net.conv(x, 256, 3, { padding: 1 }));
  x = net.relu(net.conv(x, 256, 3, { padding: 1 }));
  return classifier(net, net.maxPool(x, 3, 2));
}
