// SqueezeNet 1.1: F. N. Iandola et al. 2016 (arXiv:1602.07360), in the version with pooling moved forward.

import type { Net } from './net.ts';

/** Squeezes to few channels, then expands with 1×1 and 3×3 side by side. */
function fire<T extends { readonly shape: readonly number[] }>(
  net: Net<T>,
  x: T,
  squeezed: number,
  expanded: number,
): T {
  const narrow = net.relu(net.conv(x, squeezed, 1));
  const pointwise = net.relu(net.conv(narrow, expanded, 1));
  return net.backend.concat([pointwise, net.relu(net.conv(narrow, expanded, 3, { padding: 1 }))], 1);
}

export function squeezenet<T extends { readonly shape: readonly number[] }>(net: Net<T>): T {
  let x = net.maxPool(net.relu(net.conv(net.input([1, 3, 224, 224]), 64, 3, { stride: 2 })), 3, 2);
  x = fire(net, fire(net, x, 16, 64), 16, 64);
  x = net.maxPool(x, 3, 2);
  x = fire(net, fire(net, x, 32, 128), 32, 128);
  x = net.maxPool(x, 3, 2);
  x = fire(net, fire(net, x, 48, 192), 48, 192);
  x = fire(net, fire(net, x, 64, 256), 64, 256);
  return net.backend.globalAveragePool(net.relu(net.conv(x, 1000, 1)));
}
