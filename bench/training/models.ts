// The models of the comparison with PyTorch, as functions from a batch to logits. bench/training/pytorch_steps.py builds
// the same ones with PyTorch's own modules; weights go from here to there by name.

import { type AnyTensor, type AnyVariable, func, gather, input, nn, scan, split, variable, zeros } from 'ashlar';
import { fashionSimpleNet } from '../../examples/models.ts';
import { mlp } from '../models.ts';

interface Network {
  (x: AnyTensor): AnyTensor;
  readonly variables: readonly AnyVariable[];
}

export interface ComparedModel {
  /** The name by which the Python side knows it. */
  readonly name: string;
  readonly title: string;
  readonly x: { readonly shape: readonly number[]; readonly classes: number | null };
  readonly network: () => Network;
}

export const batch = 64;
export const classes = 10;

export const compared: readonly ComparedModel[] = [
  { name: 'mlp', title: 'MLP 784-512-512-10', x: { shape: [batch, 784], classes: null }, network: mlp },
  {
    name: 'fashion',
    title: 'FashionSimpleNet',
    x: { shape: [batch, 1, 28, 28], classes: null },
    network: fashionSimpleNet,
  },
  {
    name: 'lstm',
    title: 'LSTM 128, 28 steps of 28',
    x: { shape: [batch, 28, 28], classes: null },
    network: () => lstmClassifier(28, 128, unrolled),
  },
  {
    name: 'transformer',
    title: 'transformer, 2 layers of 128, 64 tokens',
    x: { shape: [batch, 64], classes: 1000 },
    network: () =>
      transformerClassifier({ vocabulary: 1000, tokens: 64, width: 128, heads: 4, hidden: 512, layers: 2 }),
  },
];

/** What part recurrent measures alone, so that the mean over the models above stays what it was: the batch of its inference, and two more. */
export const recurrentModels: readonly ComparedModel[] = [1, 16, batch].map((examples) => ({
  name: 'lstm64',
  title: `LSTM 128 → 256, 64 steps, batch ${examples}`,
  x: { shape: [examples, 64, 128], classes: null },
  network: () => lstmClassifier(128, 256, scanned),
}));

/** `[N, T, inputs]` → logits from the last hidden state of one LSTM layer. S. Hochreiter, J. Schmidhuber 1997. */
function lstmClassifier(inputs: number, hidden: number, walk: Walk): Network {
  const initial = nn.initializers.xavierUniform();
  const weightInput: AnyVariable = variable('lstm.weight_ih', [inputs, 4 * hidden], { initial });
  const weightHidden: AnyVariable = variable('lstm.weight_hh', [hidden, 4 * hidden], { initial });
  // Two biases that act as one, because PyTorch's module trains two.
  const biasInput: AnyVariable = variable('lstm.bias_ih', [4 * hidden]);
  const biasHidden: AnyVariable = variable('lstm.bias_hh', [4 * hidden]);
  const classify = nn.dense(hidden, classes, { name: 'classify' });
  const next = (state: LstmState | null, projected: AnyTensor): LstmState => {
    const given: AnyTensor = projected.add(biasHidden);
    const gates: AnyTensor = state === null ? given : given.add(state.h.matmul(weightHidden));
    const [i, f, g, o] = split(gates, 4, 1) as [AnyTensor, AnyTensor, AnyTensor, AnyTensor];
    const added: AnyTensor = i.sigmoid().mul(g.tanh());
    const c: AnyTensor = state === null ? added : f.sigmoid().mul(state.c).add(added);
    return { h: o.sigmoid().mul(c.tanh()) as AnyTensor, c };
  };
  const apply = (x: AnyTensor): AnyTensor => {
    // All steps' inputs are projected at once, as PyTorch does.
    const projected: AnyTensor = x.transpose([1, 0, 2]).matmul(weightInput).add(biasInput);
    return classify(walk(projected, hidden, next).h);
  };
  return Object.assign(apply, { variables: [weightInput, weightHidden, biasInput, biasHidden, ...classify.variables] });
}

type LstmState = { readonly h: AnyTensor; readonly c: AnyTensor };
/** Goes through `[T, N, 4 · hidden]` step by step; the state is null before the first, or zeros. */
type Walk = (
  projected: AnyTensor,
  hidden: number,
  next: (state: LstmState | null, slice: AnyTensor) => LstmState,
) => LstmState;

/** Every step written out. */
const unrolled: Walk = (projected, hidden, next) =>
  (split(projected, projected.shape[0] as number, 0) as AnyTensor[]).reduce<LstmState | null>(
    (state, slice) => next(state, slice.reshape([batch, 4 * hidden])),
    null,
  )!;

/** A loop of the program. */
const scanned: Walk = (projected, hidden, next) => {
  const nothing: AnyTensor = zeros([projected.shape[1]!, hidden]);
  const [last] = scan({ h: nothing, c: nothing }, projected, (state, slice) => [next(state, slice), null]);
  return last;
};

interface TransformerSizes {
  readonly vocabulary: number;
  readonly tokens: number;
  readonly width: number;
  readonly heads: number;
  readonly hidden: number;
  readonly layers: number;
}

/** Multi-head self-attention: `[N, T, width] → [N, T, width]`. A. Vaswani et al. 2017, section 3.2. */
function attention(name: string, { tokens, width, heads }: TransformerSizes): Network {
  const projectIn = nn.dense(width, 3 * width, { name: `${name}.in` });
  const projectOut = nn.dense(width, width, { name: `${name}.out` });
  const size = width / heads;
  const apply = (x: AnyTensor): AnyTensor => {
    const parts = split(projectIn(x), 3, 2) as AnyTensor[];
    const [q, k, v] = parts.map(
      (part): AnyTensor => part.reshape([batch, tokens, heads, size]).transpose([0, 2, 1, 3]),
    );
    const scores: AnyTensor = q!.mul(1 / Math.sqrt(size)).matmul(k!.transpose([0, 1, 3, 2]));
    const mixed: AnyTensor = nn.softmax(scores).matmul(v!);
    return projectOut(mixed.transpose([0, 2, 1, 3]).reshape([batch, tokens, width]));
  };
  return Object.assign(apply, { variables: [...projectIn.variables, ...projectOut.variables] });
}

/** One encoder layer, normalising before each part: R. Xiong et al., ICML 2020, figure 1 (b). */
function encoderLayer(name: string, sizes: TransformerSizes): Network {
  const norm1 = nn.layerNorm(sizes.width, { name: `${name}.norm1` });
  const mix = attention(`${name}.attention`, sizes);
  const norm2 = nn.layerNorm(sizes.width, { name: `${name}.norm2` });
  const widen = nn.dense(sizes.width, sizes.hidden, { name: `${name}.widen` });
  const narrow = nn.dense(sizes.hidden, sizes.width, { name: `${name}.narrow` });
  const apply = (x: AnyTensor): AnyTensor => {
    const mixed: AnyTensor = x.add(mix(norm1(x)));
    return mixed.add(narrow(nn.gelu(widen(norm2(mixed)))));
  };
  const parts = [norm1, mix, norm2, widen, narrow];
  return Object.assign(apply, { variables: parts.flatMap(({ variables }) => variables) });
}

/** Tokens `[N, T]` → logits from the mean of the last layer's tokens. */
function transformerClassifier(sizes: TransformerSizes): Network {
  const initial = nn.initializers.normal(0, 0.02);
  const table = variable('tokens', [sizes.vocabulary, sizes.width], { initial });
  const positions = variable('positions', [sizes.tokens, sizes.width], { initial });
  const layers = Array.from({ length: sizes.layers }, (_, i) => encoderLayer(`layer${i}`, sizes));
  const norm = nn.layerNorm(sizes.width, { name: 'norm' });
  const classify = nn.dense(sizes.width, classes, { name: 'classify' });
  const apply = (x: AnyTensor): AnyTensor => {
    const embedded: AnyTensor = (gather(table, x, 0) as AnyTensor).add(positions);
    const encoded = layers.reduce<AnyTensor>((value, layer) => layer(value), embedded);
    return classify(norm(encoded).mean(1));
  };
  const variables = [...layers, norm, classify].flatMap((part) => part.variables);
  return Object.assign(apply, { variables: [table, positions, ...variables] });
}

/** Forward, mean cross-entropy, gradients and Adam as one function of x and labels y. */
export function comparedStep({ name, x, network }: ComparedModel) {
  nn.resetNames();
  nn.setSeed(1);
  const batchInput = input('x', x.shape, x.classes === null ? 'f32' : 'i32');
  const labels = input('y', [x.shape[0]!], 'i32');
  const layers = network();
  const loss = nn.crossEntropy(layers(batchInput), labels).mean();
  const updates = nn.adam(loss, layers.variables, { lr: 1e-3 });
  return { step: func({ name: `${name}_step`, inputs: [batchInput, labels], outputs: { loss }, updates }), layers };
}

export type Batch = { readonly x: Float32Array | Int32Array; readonly y: Int32Array };

/** Images of noise or random tokens, and random labels: the same in every process. */
export function exampleBatch({ x }: ComparedModel): Batch {
  const size = x.shape.reduce((product, dim) => product * dim, 1);
  const noise = (i: number): number => Math.imul(i + 1, 2654435761) >>> 0;
  const y = Int32Array.from({ length: x.shape[0]! }, (_, i) => noise(i) % classes);
  if (x.classes === null) return { x: Float32Array.from({ length: size }, (_, i) => noise(i) / 2 ** 32), y };
  return { x: Int32Array.from({ length: size }, (_, i) => (noise(i) >>> 8) % x.classes!), y };
}
