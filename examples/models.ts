// The networks that examples and measurements share.

import { nn } from 'ashlar';

/** For 8 × 8 digits: `[N, 1, 8, 8] → [N, 10]`. */
export function digitsNet(): nn.Layer {
  return nn.sequential(
    nn.conv2d(1, 16, 3, { padding: 'same', name: 'conv1' }),
    nn.relu,
    nn.conv2d(16, 32, 3, { padding: 'same', name: 'conv2' }),
    nn.relu,
    nn.maxPool(2),
    nn.flatten(),
    nn.dense(32 * 4 * 4, 64, { name: 'dense1' }),
    nn.relu,
    nn.dense(64, 10, { name: 'dense2' }),
  );
}

/** FashionSimpleNet's shape, for 28 × 28 images: `[N, 1, 28, 28] → [N, 10]`. */
export function fashionSimpleNet(): nn.Layer {
  return nn.sequential(
    nn.conv2d(1, 32, 3, { padding: 'same', name: 'conv1' }),
    nn.relu,
    nn.maxPool(2),
    nn.conv2d(32, 64, 3, { padding: 'same', name: 'conv2' }),
    nn.relu,
    nn.maxPool(2),
    nn.flatten(),
    nn.dense(64 * 7 * 7, 128, { name: 'dense1' }),
    nn.relu,
    nn.dense(128, 10, { name: 'dense2' }),
  );
}

/**
 * AlexNet at full size, by its layers: `[N, 3, 227, 227] → [N, classes]`. In two `groups` its second, fourth and fifth convolution see
 * half of the channels each, as they did on two graphics cards. A. Krizhevsky, I. Sutskever, G. Hinton, NIPS 2012, section 3.5, whose
 * images of 224 pixels have 227 in all that followed: 55 positions of 11 pixels at every fourth.
 */
export function alexNet({ groups = 1, classes = 1000 } = {}): Readonly<Record<string, nn.Layer>> {
  const convolution = (name: string, inputs: number, outputs: number, size: number, options: nn.ConvLayerOptions) =>
    nn.sequential(nn.conv2d(inputs, outputs, size, { name, ...options }), nn.relu);
  const dense = (name: string, inputs: number, outputs: number) =>
    nn.sequential(nn.dense(inputs, outputs, { name }), nn.relu);
  const pool = () => nn.maxPool(3, { strides: 2 });
  return {
    conv1: convolution('conv1', 3, 96, 11, { strides: 4 }),
    norm1: nn.localResponseNorm(),
    pool1: pool(),
    conv2: convolution('conv2', 96, 256, 5, { padding: 2, groups }),
    norm2: nn.localResponseNorm(),
    pool2: pool(),
    conv3: convolution('conv3', 256, 384, 3, { padding: 1 }),
    conv4: convolution('conv4', 384, 384, 3, { padding: 1, groups }),
    conv5: convolution('conv5', 384, 256, 3, { padding: 1, groups }),
    pool5: pool(),
    fc6: nn.sequential(nn.flatten(), dense('fc6', 256 * 6 * 6, 4096)),
    fc7: dense('fc7', 4096, 4096),
    fc8: nn.dense(4096, classes, { name: 'fc8' }),
  };
}
