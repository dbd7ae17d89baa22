// The generator of A. Radford et al., ICLR 2016, figure 1, for 64×64 images with 64 channels at its base.

import type { Net } from './net.ts';

export function dcgan<T extends { readonly shape: readonly number[] }>(net: Net<T>): T {
  let x = net.convTranspose(net.input([1, 100, 1, 1]), 512, 4);
  for (const channels of [256, 128, 64]) {
    x = net.relu(net.batchNorm(x));
    x = net.convTranspose(x, channels, 4, { stride: 2, padding: 1 });
  }
  x = net.convTranspose(net.relu(net.batchNorm(x)), 3, 4, { stride: 2, padding: 1 });
  return net.backend.unary('tanh', x);
}
