// Compile time against graph size: the same block repeated, through all passes, lowering, planning and printing. Linear
// growth means that the time per node stays.

import { printProgram } from '../src/codegen/c/program.ts';
import { type Func, makeFunc, parameter, type Value } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { progress, table } from './measure.ts';

/** Blocks of a dense layer, an activation, a normalisation and a residual: about 14 nodes each, none equal to another. */
function deepNetwork(nodes: number): Func {
  const width = 8;
  const shape = [4, width];
  const x = parameter('x', { dtype: 'f32', shape });
  const weight = parameter('w', { dtype: 'f32', shape: [width, width] });
  const b = builder;
  let value: Value = x.value;
  let made = 0;
  for (let block = 0; made < nodes; block++) {
    const product = b.dot(value, weight.value, { contract: [[1], [0]], batch: [[], []] });
    const scaled = b.mul(product, b.like(product, 1 + block / 1000));
    const active = b.tanh(scaled);
    const sum = b.reduce(active, { kind: 'sum', axes: [1] });
    const mean = b.mul(sum, b.like(sum, 1 / width));
    const spread = b.broadcast(mean, { shape, axes: [0] });
    const centred = b.sub(active, spread);
    const turned = b.transpose(b.reshape(centred, { shape: [2, 2 * width] }), { permutation: [1, 0] });
    const back = b.reshape(turned, { shape });
    value = b.add(value, b.exp(b.neg(back)));
    made += 14;
  }
  return makeFunc('deep', [x, weight], [{ name: 'y', role: 'output', value }]);
}

export function compileTime(): string {
  const rows: (string | number)[][] = [];
  compileToProgram(deepNetwork(1000));
  for (const nodes of [1000, 10_000, 100_000]) {
    progress(`compiling a graph of ${nodes} nodes`);
    const started = performance.now();
    const func = deepNetwork(nodes);
    const built = performance.now();
    const program = compileToProgram(func);
    const compiled = performance.now();
    const { code } = printProgram(program);
    const printed = performance.now();
    const total = printed - started;
    rows.push([
      func.nodes.length,
      program.steps.length,
      (built - started).toFixed(0),
      (compiled - built).toFixed(0),
      (printed - compiled).toFixed(0),
      ((total / func.nodes.length) * 1000).toFixed(1),
      (code.length / 1e6).toFixed(2),
    ]);
  }
  return [
    '## Compile time, Graph to C',
    '',
    table(['nodes', 'kernels', 'build ms', 'passes and plan ms', 'print ms', 'µs per node', 'C MB'], rows),
  ].join('\n');
}
