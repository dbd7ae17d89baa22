// S. Hochreiter's and J. Schmidhuber's LSTM (Neural Computation 9(8), 1997) with the forget gate of F. A. Gers et al. (2000):
// two layers over 32 steps, and one over 64.

import type { Net } from './net.ts';

export function lstm<T extends { readonly shape: readonly number[] }>(net: Net<T>): T {
  return net.lstm(net.lstm(net.input([32, 1, 128]), 256), 256);
}

export function lstm64<T extends { readonly shape: readonly number[] }>(net: Net<T>): T {
  return net.lstm(net.input([64, 1, 128]), 256);
}
