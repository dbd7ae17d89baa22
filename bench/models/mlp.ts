// Dense layers only: at batch 1 as fast as weights can be read.

import type { Net } from './net.ts';

type Operand = { readonly shape: readonly number[] };

export function mlp<T extends Operand>(net: Net<T>): T {
  let x = net.input([1, 784]);
  x = net.relu(net.dense(x, 512));
  x = net.relu(net.dense(x, 512));
  return net.dense(x, 10);
}

/** The network of examples/models.ts. */
export function fashionSimpleNet<T extends Operand>(net: Net<T>): T {
  let x = net.input([1, 1, 28, 28]);
  x = net.maxPool(net.relu(net.conv(x, 32, 3, { padding: 1 })), 2);
  x = net.maxPool(net.relu(net.conv(x, 64, 3, { padding: 1 })), 2);
  x = net.relu(net.dense(net.flatten(x), 128));
  return net.dense(x, 10);
}
