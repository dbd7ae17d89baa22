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
import type { Definition } from '../../src/runtime/definition.ts';

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

/** What the digits network, or another one like it, gives for an image, by the reference. */
export function digitsReference(
  pixels = digitsImage,
  definition: Definition = digits(),
): {
  readonly label: number;
  readonly probabilities: ArrayLike<number>;
} {
  const { func: graph, variables } = definition;
  const values = new Map(variables.map((variable) => [variable.name, variable]));
  const bound = bindStates(graph, builder, (name) => values.get(name)!.initial());
  const image = { type: bound.parameters[0]!.value.type, data: Float64Array.from(pixels) };
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

/** Writes an image as a file of raw elements. */
export function writeImage(folder: string, pixels = digitsImage): string {
  const path = join(folder, 'image.bin');
  writeFileSync(path, new Uint8Array(pixels.buffer));
  return path;
}

/** A program in C++ that runs the digits network: its arguments are the files of weights and of the image. */
export const cppCaller = `#include "digits.h"
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

/* Memory at a multiple of 64, which vectors have only since C++17. */
struct Memory {
  std::vector<char> bytes;
  std::size_t first;
  explicit Memory(std::size_t count) : bytes(count + 64), first(64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64) {}
  char *data() { return bytes.data() + first; }
};

static Memory read(const char *path, std::size_t &count) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Memory memory(text.size());
  text.copy(memory.data(), text.size());
  count = text.size();
  return memory;
}

int main(int, char **argv) {
  std::size_t count = 0, image_bytes = 0;
  Memory file = read(argv[1], count), pixels = read(argv[2], image_bytes);
  digits_weights weights;
  if (digits_bind_weights(&weights, file.data(), count) != DIGITS_STATUS_OK) return 1;
  const std::size_t bytes = digits_workspace_size();
  Memory workspace(bytes);
  float probabilities[10];
  std::int32_t label;
  const digits_inputs inputs = {reinterpret_cast<const float *>(pixels.data())};
  const digits_outputs outputs = {&label, probabilities};
  const int status = digits_run(&weights, &inputs, &outputs, workspace.data(), bytes, 1);
  if (status != DIGITS_STATUS_OK) return 1;
  std::printf("label: \\n%d\\nprobabilities: \\n", static_cast<int>(label));
  for (float p : probabilities) std::printf("%.9g\\n", static_cast<double>(p));
}
`;
