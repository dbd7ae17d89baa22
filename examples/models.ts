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
