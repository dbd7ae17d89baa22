// K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1; strides as in torchvision (on the 3×3
// convolution of a bottleneck). Batch normalisation is folded into the convolutions, as exporters leave it.

import type { Net } from './net.ts';

type Operand = { readonly shape: readonly number[] };
type Block = <T extends Operand>(net: Net<T>, x: T, channels: number, stride: number) => T;

/** A branch is added to what it branches from: a small variance keeps a deep sum finite. */
const branchGain = 0.2;

function shortcut<T extends Operand>(net: Net<T>, x: T, channels: number, stride: number): T {
  if (stride === 1 && x.shape[1] === channels) return x;
  return net.conv(x, channels, 1, { stride, gain: 1 });
}

const basic: Block = (net, x, channels, stride) => {
  const inner = net.relu(net.conv(x, channels, 3, { stride, padding: 1 }));
  const branch = net.conv(inner, channels, 3, { padding: 1, gain: branchGain });
  return net.relu(net.add(branch, shortcut(net, x, channels, stride)));
};

const bottleneck: Block = (net, x, channels, stride) => {
  const reduced = net.relu(net.conv(x, channels, 1));
  const inner = net.relu(net.conv(reduced, channels, 3, { stride, padding: 1 }));
  const branch = net.conv(inner, 4 * channels, 1, { gain: branchGain });
  return net.relu(net.add(branch, shortcut(net, x, 4 * channels, stride)));
};

function resnet<T extends Operand>(net: Net<T>, block: Block, depths: readonly number[]): T {
  let x = net.input([1, 3, 224, 224]);
  x = net.maxPool(net.relu(net.conv(x, 64, 7, { stride: 2, padding: 3 })), 3, 2, 1);
  depths.forEach((depth, stage) => {
    for (let i = 0; i < depth; i++) x = block(net, x, 64 << stage, stage > 0 && i === 0 ? 2 : 1);
  });
  return net.dense(net.backend.globalAveragePool(x), 1000, 1);
}

export const resnet18 = <T extends Operand>(net: Net<T>): T => resnet(net, basic, [2, 2, 2, 2]);
export const resnet50 = <T extends Operand>(net: Net<T>): T => resnet(net, bottleneck, [3, 4, 6, 3]);
