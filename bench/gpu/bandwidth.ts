// What memory bounds: element operations, reductions and rows over arrays far larger than a card's cache, against a copy
// written by hand and against PyTorch.

import { type AnyTensor, nn, openDevice, softmax } from 'ashlar';
import { timedSteps } from '../../src/runtime/webgpu/profile.ts';
import { median } from '../measure.ts';
import { nodeGpu } from './packed-gpu.ts';
import { isTimeFor, keeper, order } from './part.ts';
import { adapterName, comparePair, type ProblemFigures } from './problem.ts';
import { describeTorch, TorchSide } from './torch.ts';

export interface MovedFigures extends ProblemFigures {
  /** Bytes read and written at least. */
  readonly bytes: number;
}

export interface BandwidthFigures {
  readonly adapter: string;
  readonly pytorch: string;
  /** Bytes a second, read and written, of a copy by hand; null where the device has no timestamps. */
  readonly copy: number | null;
  readonly problems: readonly MovedFigures[];
  readonly failures: readonly string[];
}

interface Case {
  readonly expression: string;
  readonly title: string;
  readonly operands: number;
  readonly compute: (...operands: AnyTensor[]) => AnyTensor;
}

const layerNorm = (x: AnyTensor): AnyTensor => {
  const centred: AnyTensor = x.sub(x.mean(-1, { keepDims: true }));
  const variance: AnyTensor = centred.square().mean(-1, { keepDims: true });
  return centred.mul(variance.add(1e-5).rsqrt());
};

const cases: readonly Case[] = [
  { title: 'x · 2', expression: 'double', operands: 1, compute: (x) => x!.mul(2) },
  { title: 'x + y', expression: 'add', operands: 2, compute: (x, y) => x!.add(y!) },
  { title: 'gelu(x)', expression: 'gelu', operands: 1, compute: (x) => nn.geluTanh(x!) },
  { title: 'sum of all', expression: 'sum', operands: 1, compute: (x) => x!.sum() },
  { title: 'sums of rows', expression: 'rowSum', operands: 1, compute: (x) => x!.sum(1) },
  { title: 'sums of columns', expression: 'columnSum', operands: 1, compute: (x) => x!.sum(0) },
  { title: 'maxima of rows', expression: 'rowMax', operands: 1, compute: (x) => x!.max(1) },
  { title: 'softmax of rows', expression: 'softmax', operands: 1, compute: (x) => softmax(x!) },
  { title: 'layer norm of rows', expression: 'layerNorm', operands: 1, compute: (x) => layerNorm(x!) },
  { title: 'transpose', expression: 'transpose', operands: 1, compute: (x) => x!.transpose() },
];

/** Results are compared with PyTorch's as a share of the largest; the sum of all is small beside its terms. */
const tolerance = 1e-4;
/** A problem with its arrays, a copy of them in files and both sides' turns. */
const secondsOfProblem = 12;

const { small } = order();
const keep = keeper<BandwidthFigures>('bandwidth');
/** 256 MB, five times the largest cache. */
const shapes = small
  ? [
      [512, 512],
      [2048, 128],
    ]
  : [
      [8192, 8192],
      [65_536, 1024],
    ];
const torch = await TorchSide.start();
const adapter = await adapterName();
const copy = await copySpeed(4 * shapes[0]![0]! * shapes[0]![1]!);
const problems: MovedFigures[] = [];
const failures: string[] = [];
for (const shape of shapes) {
  for (const { title, expression, operands, compute } of cases) {
    const name = `${title}, ${shape.join(' × ')}`;
    if (!isTimeFor(secondsOfProblem)) failures.push(`${name}: no time was left`);
    else await measure(name);
    keep({ adapter, pytorch: describeTorch(torch), copy, problems, failures });

    async function measure(titled: string): Promise<void> {
      const given = Array.from({ length: operands }, () => shape);
      try {
        const figures = await comparePair({ title: titled, expression, operands: given, compute }, torch, tolerance);
        problems.push({ ...figures, bytes: bytesOf(given, shape, expression) });
      } catch (error) {
        failures.push(`${titled}: ${(error as Error).message}`);
      }
    }
  }
}
torch?.end();
process.exit(0);

/** Every operand read once, the result written once. */
function bytesOf(operands: readonly (readonly number[])[], shape: readonly number[], expression: string): number {
  const results: Readonly<Record<string, number>> = {
    sum: 1,
    rowSum: shape[0]!,
    rowMax: shape[0]!,
    columnSum: shape[1]!,
  };
  return 4 * (operands.length * shape[0]! * shape[1]! + (results[expression] ?? shape[0]! * shape[1]!));
}

async function copySpeed(bytes: number): Promise<number | null> {
  const gpu = await openDevice(await nodeGpu(), { kernels: 'card' });
  if (!gpu.device.features.has('timestamp-query')) return null;
  const [source, target] = [await gpu.allocate('source', bytes), await gpu.allocate('target', bytes)];
  const invocations = 256;
  const vectors = bytes / 16;
  const pipeline = await gpu.pipeline({
    name: 'copy',
    bindings: [
      { name: 'source', access: 'read' },
      { name: 'target', access: 'read_write' },
    ],
    code: `@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;
@compute @workgroup_size(${invocations})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let at = id.y * groups.x * ${invocations}u + id.x;
  result[at] = source[at];
}`,
  } as unknown as Parameters<typeof gpu.pipeline>[0]);
  const bindGroup = gpu.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [source, target].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const across = Math.min(32_768, vectors / invocations);
  const times: number[] = [];
  for (let i = 0; i < 30; i++) {
    const [time] = await timedSteps(gpu, [{ kernel: 'copy', source: null }], (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(across, vectors / invocations / across);
    });
    if (i >= 10) times.push(time!.nanoseconds / 1e9);
  }
  gpu.destroy();
  return (2 * bytes) / median(times);
}
