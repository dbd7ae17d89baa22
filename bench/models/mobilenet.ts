// MobileNetV2: M. Sandler et al., CVPR 2018, table 2. Batch normalisation is folded into the convolutions.

import type { Net } from './net.ts';

/** Expansion, output channels, repetitions, first stride. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

function invertedResidual<T extends { readonly shape: readonly number[] }>(
  net: Net<T>,
  x: T,
  expansion: number,
  outputs: number,
  stride: number,
): T {
  const inputs = x.shape[1]!;
  const channels = inputs * expansion;
  const relu6 = (y: T): T => net.backend.unary('relu6', y);
  const wide = expansion === 1 ? x : relu6(net.conv(x, channels, 1));
  const filtered = relu6(net.conv(wide, channels, 3, { stride, padding: 1, groups: channels }));
  const projected = net.conv(filtered, outputs, 1, { gain: 1 });
  return stride === 1 && inputs === outputs ? net.add(x, projected) : projected;
}

export function mobilenetV2<T extends { readonly shape: readonly number[] }>(net: Net<T>): T {
  const relu6 = (y: T): T => net.backend.unary('relu6', y);
  let x = relu6(net.conv(net.input([1, 3, 224, 224]), 32, 3, { stride: 2, padding: 1 }));
  for (const [expansion, outputs, count, first] of stages) {
    for (let i = 0; i < count; i++) x = invertedResidual(net, x, expansion, outputs, i === 0 ? first : 1);
  }
  return net.dense(net.backend.globalAveragePool(relu6(net.conv(x, 1280, 1))), 1000, 1);
}
