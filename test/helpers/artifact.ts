// Artifacts that tests build and run: the digits network, and compilers on exported folders.

import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digitsNet } from '../../examples/models.ts';
import { evaluateFunc } from '../../src/ir/evaluate.ts';
import { builder } from '../../src/ir/ops/index.ts';
import { func } from '../../src/lang/func.ts';
import { input } from '../../src/lang/variable.ts';
import * as nn from '../../src/nn/index.ts';
import { bindStates } from '../../src/passes/bind-states.ts';

const installed = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const clang = ['clang-19', 'clang'].find(installed);
/** gcc, and clang where there is one. */
export const compilers: readonly string[] = ['gcc', ...(clang === undefined ? [] : [clang])];
/** The C++ compiler beside a C compiler. */
export const plusPlus = (compiler: string): string => compiler.replace('gcc', 'g++').replace('clang', 'clang++');

/** The digits network for one image, with the label and all probabilities. */
export function digits() {
  nn.resetNames();
  nn.setSeed(3);
  const image = input('image', [1, 1, 8, 8]);
  const logits = digitsNet()(image);
  return func({
    name: 'digits',
    inputs: [image],
    outputs: { label: logits.argmax(-1), probabilities: nn.softmax(logits, -1) },
  });
}

export const digitsImage: Float32Array = Float32Array.from({ length: 64 }, (_, i) => ((i * 37) % 17) / 16);

/** What the digits network gives for the image, by the reference. */
export function digitsReference(): { readonly label: number; readonly probabilities: ArrayLike<number> } {
  const { func: graph, variables } = digits();
  const values = new Map(variables.map((variable) => [variable.name, variable]));
  const bound = bindStates(graph, builder, (name) => values.get(name)!.initial());
  const image = { type: bound.parameters[0]!.value.type, data: Float64Array.from(digitsImage) };
  const [label, probabilities] = evaluateFunc(bound, [image]);
  return { label: Number(label!.data[0]), probabilities: probabilities!.data as Float64Array };
}

/** Builds sources of a folder into a program there. */
export function build(
  folder: string,
  compiler: string,
  flags: readonly string[],
  sources: readonly string[],
  name: string,
): string {
  const binary = join(folder, name);
  execFileSync(compiler, [...flags, '-o', binary, ...sources, '-lm'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return binary;
}

export function run(binary: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  const { stdout, stderr, status } = spawnSync(binary, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  return { stdout, stderr, status };
}

/** The numbers that an example prints, by output. */
export function printed(stdout: string): Record<string, number[]> {
  const results: Record<string, number[]> = {};
  let rows: number[] = [];
  for (const line of stdout.trim().split('\n')) {
    const head = /^(\w+): /.exec(line);
    if (head === null) rows.push(Number(line));
    else {
      rows = [];
      results[head[1]!] = rows;
    }
  }
  return results;
}

/** Writes the image as a file of raw elements. */
export function writeImage(folder: string): string {
  const path = join(folder, 'image.bin');
  writeFileSync(path, new Uint8Array(digitsImage.buffer));
  return path;
}
