// Inference at batch 1 against onnxruntime-node: the same network and weights on both sides, outputs compared before
// anything is timed, then both in turn, on one thread and on all.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Compiled } from './compile-figures.ts';
import type { Origin } from './definition.ts';
import { inferenceReport, type ModelFigures, type SideFigures, type ThreadFigures } from './inference-report.ts';
import type { SideOrder } from './inference-side.ts';
import { measureEach } from './kept.ts';
import { median, progress } from './measure.ts';
import { modelOf, onnxModel } from './models/index.ts';
import { encodeOnnx } from './onnx-file.ts';
import { benchPackage } from './packages.ts';
import { floorSeconds, measureRoofline, type Roofline } from './roofline.ts';
import { ratioOfTurns, Side, takeTurns } from './turns.ts';

const program = fileURLToPath(new URL('./inference-side.ts', import.meta.url));
/** Largest difference of outputs over the largest output that is accepted. */
const tolerance = 1e-3;

const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;

/** Measures the models that are named, or all; figures of the others stay as they were measured last. */
export async function inference(wanted: readonly string[]): Promise<string> {
  benchPackage('onnxruntime-node');
  const title = 'Inference at batch 1 against onnxruntime-node';
  return inferenceReport(title, await measureEach('inference', wanted, (name) => measureModel(name, 'language')));
}

/** The same networks, read by both sides from one ONNX file. */
export async function inferenceOfOnnx(wanted: readonly string[]): Promise<string> {
  benchPackage('onnxruntime-node');
  const title = 'Inference of ONNX files at batch 1 against onnxruntime-node';
  return inferenceReport(title, await measureEach('inference-onnx', wanted, (name) => measureModel(name, 'onnx')));
}

/** One network of any part: its outputs compared, then in turn on one thread and on all. */
export async function measureModel(name: string, origin: Origin): Promise<ModelFigures> {
  const model = modelOf(name);
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-inference-'));
  try {
    progress(`${model.title}: writing the ONNX file`);
    const { graph, flops } = onnxModel(model, name);
    const onnx = join(folder, `${name}.onnx`);
    writeFileSync(onnx, encodeOnnx(graph));
    const order = { model: name, origin, onnx, inputShape: graph.inputs[0]!.shape };
    progress(`${model.title}: compiling`);
    const { figures: compiled, works } = compileInOwnProcess([name, origin, onnx], folder);
    const measured: ThreadFigures[] = [];
    let difference = 0;
    for (const threads of new Set([1, availableParallelism()])) {
      progress(`${model.title}: ${threads} thread${threads === 1 ? '' : 's'}`);
      const load = loadavg()[0]!;
      const before = measureRoofline(compiled.constantBytes, threads);
      const pair = await comparePair({ ...order, threads }, folder);
      const roofline = better(before, measureRoofline(compiled.constantBytes, threads));
      difference = Math.max(difference, pair.difference);
      const { ours, theirs, ratio } = pair;
      const floor = works.reduce((sum, work) => sum + floorSeconds(work, roofline), 0);
      const gflops = flops / ours.milliseconds / 1e6;
      measured.push({
        threads,
        ours,
        theirs,
        ratio,
        gflops,
        peak: roofline.peak,
        bandwidth: roofline.constantBandwidth,
        ofPeak: gflops / roofline.peak,
        ofRoofline: (floor * 1000) / ours.milliseconds,
        load,
      });
    }
    return { title: model.title, flops, difference, compiled, measured, machine };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The faster of two measurements of one machine: a neighbour can only slow it down. */
function better(a: Roofline, b: Roofline): Roofline {
  return {
    peak: Math.max(a.peak, b.peak),
    constantBandwidth: Math.max(a.constantBandwidth, b.constantBandwidth),
    freshBandwidth: (bytes) => Math.max(a.freshBandwidth(bytes), b.freshBandwidth(bytes)),
  };
}

function compileInOwnProcess(args: readonly string[], cache: string): Compiled {
  const program = fileURLToPath(new URL('./compile-figures.ts', import.meta.url));
  const printed = execFileSync(process.execPath, [...process.execArgv, program, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ASHLAR_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(printed) as Compiled;
}

async function comparePair(order: Omit<SideOrder, 'side'>, cache: string) {
  const start = (side: SideOrder['side']): Promise<Side> =>
    Side.start(program, [JSON.stringify({ ...order, side } satisfies SideOrder)], {
      ...process.env,
      ASHLAR_CACHE: cache,
    });
  const ours = await start('ashlar');
  const theirs = await start('onnxruntime');
  try {
    const difference = largestDifference(order.model, ours.ready.output, theirs.ready.output);
    const sides = [ours, theirs];
    const times = await takeTurns(sides);
    const ratio = ratioOfTurns(times[0]!, times[1]!);
    const figures = sides.map(
      (side, i): SideFigures => ({
        milliseconds: median(times[i]!.flat()),
        fastest: Math.min(...times[i]!.flat()),
        loadSeconds: side.ready.loadSeconds,
      }),
    );
    return { difference, ratio, ours: figures[0]!, theirs: figures[1]! };
  } finally {
    ours.end();
    theirs.end();
  }
}

/** Over the largest output. Throws where outputs are not finite or differ by more than the tolerance. */
function largestDifference(model: string, ours: Float32Array, theirs: Float32Array): number {
  if (ours.length !== theirs.length)
    throw new Error(`${model}: Ashlar gives ${ours.length} outputs, onnxruntime ${theirs.length}`);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < theirs.length; i++) {
    if (!Number.isFinite(ours[i]) || !Number.isFinite(theirs[i]))
      throw new Error(`${model}: output ${i} is ${ours[i]}, onnxruntime's is ${theirs[i]}`);
    difference = Math.max(difference, Math.abs(ours[i]! - theirs[i]!));
    largest = Math.max(largest, Math.abs(theirs[i]!));
  }
  if (!(difference <= tolerance * largest))
    throw new Error(`${model}: outputs differ from onnxruntime's by ${difference}, the largest is ${largest}`);
  return difference / largest;
}
