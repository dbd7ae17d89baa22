// Small programs that go through scans, convolutions and normalisations, smooth everywhere they are evaluated: what second
// derivatives are tested on.

import {
  type AnyTensor,
  checkpoint,
  cond,
  constant,
  conv,
  grad,
  input,
  maxPool,
  nn,
  scan,
  vmap,
  whileLoop,
  zeros,
} from '../../src/index.ts';
import { penaltyOf, type SmoothProgram } from './derivatives.ts';

type Layers = readonly (nn.Layer | ((x: AnyTensor) => AnyTensor))[];

const smooth = (y: AnyTensor): AnyTensor => y.tanh().square().sum().add(y.sum().sin()) as AnyTensor;

/** Layers applied to an input of the shape; what they read is differentiated by. */
function layered(what: string, shape: readonly number[], ...layers: Layers): SmoothProgram {
  const x = input('x', [...shape]) as unknown as AnyTensor;
  const model = nn.sequential(...(layers as never[]));
  const trainable = model.variables.filter((variable) => variable.trainable) as unknown as AnyTensor[];
  return { what, by: [x, ...trainable], loss: smooth(model(x as never)) };
}

const tanh = (x: AnyTensor): AnyTensor => x.tanh() as AnyTensor;

/** A recurrent cell over a sequence `[time, batch, features]`. */
function recurrent(
  what: string,
  cell: nn.Cell,
  options: nn.UnrollOptions & { residuals?: 'recompute' } = {},
): SmoothProgram {
  const x = input('x', [4, 2, 3]) as unknown as AnyTensor;
  const given = options.lengths === undefined ? [] : [{ tensor: options.lengths, data: [4, 2] }];
  const [last, all] = scan(
    cell.initial(2),
    x,
    (state, slice) => {
      const next = cell.step(state as nn.CellState, slice as never);
      return [next, next.h] as never;
    },
    options,
  ) as unknown as [nn.CellState, AnyTensor];
  const loss = Object.values(last).reduce<AnyTensor>((sum, value) => sum.add(value.square().sum()), smooth(all));
  return { what, by: [x, ...(cell.variables as unknown as AnyTensor[])], given, loss };
}

/** A scan whose steps are scans: rows of an image, and places of a row. */
function nested(residuals: 'keep' | 'recompute'): SmoothProgram {
  const x = input('x', [3, 4, 2]) as unknown as AnyTensor;
  const w = input('w', [2, 2]) as unknown as AnyTensor;
  const h = input('h', [2]) as unknown as AnyTensor;
  const rows = (begin: AnyTensor, row: AnyTensor) =>
    scan(begin, row, (state: AnyTensor, xt: AnyTensor) => {
      const next = state.matmul(w).add(xt).tanh() as AnyTensor;
      return [next, next.mul(xt)] as never;
    }) as unknown as [AnyTensor, AnyTensor];
  const [last, all] = scan(
    h,
    x,
    (state: AnyTensor, row: AnyTensor) => {
      const [end, places] = rows(state, row);
      return [end.mul(places.sum().cos()), places] as never;
    },
    { residuals, reverse: true },
  ) as unknown as [AnyTensor, AnyTensor];
  return { what: `scans in a scan, to ${residuals}`, by: [x, w, h], loss: smooth(all).add(last.square().sum()) };
}

export function scans(): SmoothProgram[] {
  nn.resetNames();
  const lengths = input('lengths', [2], 'i32') as unknown as AnyTensor;
  return [
    nested('keep'),
    recurrent('an LSTM of rows of different lengths', nn.lstmCell(3, 4), { lengths }),
    recurrent('an RNN that keeps its carries alone, backwards', nn.rnnCell(3, 4), {
      residuals: 'recompute',
      reverse: true,
    }),
    recurrent('a GRU', nn.gruCell(3, 4)),
    nested('recompute'),
    recurrent('an RNN', nn.rnnCell(3, 4)),
    recurrent('an LSTM that keeps its carries alone', nn.lstmCell(3, 4), { residuals: 'recompute' }),
    recurrent('a GRU of rows of different lengths that keeps its carries alone', nn.gruCell(3, 4), {
      lengths,
      residuals: 'recompute',
    }),
  ];
}

/** One of a thousand apart, in an order without pattern: which of them is greatest does not depend on small things. */
const spread = (shape: readonly number[]): AnyTensor => {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return constant(
    Array.from({ length: size }, (_, i) => 10 * ((i * 7) % size)),
    { shape: [...shape] },
  ) as unknown as AnyTensor;
};

export function convolutions(): SmoothProgram[] {
  nn.resetNames();
  return [
    layered(
      'conv2d with strides',
      [2, 2, 6, 5],
      nn.conv2d(2, 3, 3, { strides: 2, padding: 1 }),
      tanh,
      nn.conv2d(3, 2, 2),
    ),
    layered(
      'conv2d in groups',
      [2, 4, 5, 4],
      nn.conv2d(4, 6, 3, { groups: 2, padding: 1 }),
      tanh,
      nn.conv2d(6, 6, 2, { groups: 6 }),
    ),
    layered('a transposed conv2d', [2, 3, 3, 2], nn.convTranspose2d(3, 2, 4, { strides: 2, padding: 1 }), tanh),
    layered('conv1d', [2, 2, 7], nn.conv1d(2, 3, 3), tanh, nn.conv1d(3, 2, 2, { padding: 'same' })),
    layered(
      'avgPool over uneven padding',
      [1, 2, 5, 6],
      tanh,
      nn.avgPool(3, {
        strides: 2,
        padding: [
          [1, 0],
          [0, 1],
        ],
      }),
      nn.conv2d(2, 2, 2),
    ),
    layered(
      'maxPool of what lies far apart',
      [1, 2, 5, 6],
      (x: AnyTensor) =>
        maxPool(tanh(x).add(spread([1, 2, 5, 6])) as AnyTensor, 3, { strides: 2, padding: 1 })
          .mul(0.01)
          .sin() as AnyTensor,
      nn.conv2d(2, 2, 2),
    ),
    layered('conv2d, dilated', [1, 2, 7, 6], nn.conv2d(2, 3, [3, 2], { dilation: [2, 3], padding: 'same' }), tanh),
    layered(
      'a transposed conv1d in groups',
      [2, 4, 4],
      nn.convTranspose1d(4, 2, 3, { strides: 3, groups: 2, padding: 'same' }),
      tanh,
    ),
    layered('conv3d', [1, 2, 3, 4, 3], nn.conv3d(2, 2, 2, { strides: [1, 2, 1], padding: 1 }), tanh),
  ];
}

/** Normalises groups of channels of `[N, C, H, W]`. Y. Wu, K. He, ECCV 2018; as many groups as channels: instance normalisation. */
const groupNorm =
  (groups: number) =>
  (x: AnyTensor): AnyTensor => {
    const { shape } = x.value.type;
    const grouped = x.reshape([shape[0]!, groups, -1]) as AnyTensor;
    const centred = grouped.sub(grouped.mean(-1, { keepDims: true } as never)) as AnyTensor;
    const deviation = centred
      .square()
      .mean(-1, { keepDims: true } as never)
      .add(1e-5)
      .sqrt() as AnyTensor;
    return centred.div(deviation).reshape([...shape]) as AnyTensor;
  };

export function normalisations(): SmoothProgram[] {
  nn.resetNames();
  return [
    layered('batch norm of images', [3, 2, 3, 2], nn.conv2d(2, 3, 2), nn.batchNorm(3), tanh),
    layered('layer norm', [3, 4], nn.dense(4, 6), nn.layerNorm(6), tanh, nn.dense(6, 2)),
    layered('group norm', [2, 4, 3, 2], nn.conv2d(4, 4, 2, { padding: 'same' }), groupNorm(2), tanh),
    layered('local response norm', [2, 6, 2, 2], nn.localResponseNorm(3, { alpha: 0.5, bias: 1 }), nn.conv2d(6, 2, 1)),
    layered('batch norm', [4, 3], nn.dense(3, 5), nn.batchNorm(5), tanh),
    layered('instance norm', [2, 2, 3, 3], groupNorm(2), nn.conv2d(2, 2, 2)),
    layered('softmax', [3, 4], nn.dense(4, 5), (x: AnyTensor) => nn.softmax(x) as AnyTensor, nn.dense(5, 2)),
  ];
}

/** A critic of images whose score for each is independent of the others. Its penalty is on each image's gradient. */
function critic(): SmoothProgram {
  const x = input('x', [2, 1, 6, 6]) as unknown as AnyTensor;
  const model = nn.sequential(
    nn.conv2d(1, 2, 3, { strides: 2, padding: 1 }),
    tanh as never,
    ((h: AnyTensor) => h.reshape([2, 2, 9])) as never,
    nn.layerNorm(9),
    nn.flatten(),
    nn.dense(18, 1),
  );
  const score = model(x as never) as AnyTensor;
  const slope = grad(score.sum(), x) as AnyTensor;
  const norms = slope.square().sum([1, 2, 3]).add(1e-12).sqrt() as AnyTensor;
  return {
    what: 'a critic of images',
    by: [x, ...(model.variables as unknown as AnyTensor[])],
    loss: smooth(score),
    ofGradient: norms.sub(1).square().mean() as AnyTensor,
  };
}

/** Frames of a film `[time, batch, 1, H, W]` through a convolution and a norm, what is seen through a GRU. */
export function film(): SmoothProgram {
  nn.resetNames();
  const x = input('x', [3, 2, 1, 4, 4]) as unknown as AnyTensor;
  const seeing = nn.sequential(
    nn.conv2d(1, 2, 3, { strides: 2, padding: 1 }),
    nn.batchNorm(2),
    tanh as never,
    nn.flatten(),
  );
  const cell = nn.gruCell(8, 3);
  const variables = [...seeing.variables.filter(({ trainable }) => trainable), ...cell.variables];
  const [last] = scan(
    cell.initial(2),
    x,
    (state, frame) => [cell.step(state as never, seeing(frame as never)), null] as never,
  );
  return {
    what: 'conv, norm and a scan over frames',
    by: [x, ...(variables as unknown as AnyTensor[])],
    loss: smooth((last as unknown as nn.CellState).h),
  };
}

/** Steps of a convolution on an image that is carried, normalised in between, until it is quiet; then one of two readings. */
function loops(): SmoothProgram {
  const x = input('x', [1, 2, 4, 4]) as unknown as AnyTensor;
  const w = input('w', [2, 2, 3, 3]) as unknown as AnyTensor;
  const [image, steps] = whileLoop(
    [x, zeros([]) as AnyTensor] as const,
    ([, count]) => count.lt(3) as never,
    ([image, count]) =>
      [
        groupNorm(1)(conv(image as never, w as never, { padding: 1 }))
          .tanh()
          .add(x),
        count.add(1),
      ] as never,
    { limit: 5 },
  ) as unknown as [AnyTensor, AnyTensor];
  const loss = cond(
    steps.gt(2) as never,
    () => smooth(image),
    () => image.sum() as AnyTensor,
  ) as AnyTensor;
  return { what: 'a while and a cond', by: [x, w], loss };
}

/** Each row of a batch alone, in checkpoints; its penalty is on the gradient of each. */
function rows(): SmoothProgram {
  const x = input('x', [3, 4, 2]) as unknown as AnyTensor;
  const w = input('w', [2, 2]) as unknown as AnyTensor;
  const step = checkpoint((h: AnyTensor, xt: AnyTensor) => h.matmul(w).add(xt).tanh() as AnyTensor);
  const one = (row: AnyTensor): AnyTensor =>
    smooth(
      scan(zeros([2]) as AnyTensor, row, (h: AnyTensor, xt: AnyTensor) => [step(h, xt), null] as never)[0] as AnyTensor,
    );
  const slopes = vmap((row: AnyTensor) => penaltyOf(grad(one(row), row) as AnyTensor))(x as never) as AnyTensor;
  return {
    what: 'each row’s scan of checkpoints',
    by: [x, w],
    loss: (vmap(one)(x as never) as AnyTensor).sum() as AnyTensor,
    ofGradient: slopes.sum() as AnyTensor,
  };
}

export function composites(): SmoothProgram[] {
  nn.resetNames();
  return [critic(), film(), loops(), rows()];
}
