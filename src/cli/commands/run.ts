// `ashlar run`: one call on inputs from files, its outputs as files.

import { UnsupportedModelError } from '../../onnx/unsupported.ts';
import { expectAll, formatBoundary, readInputs, writeOutputs } from '../arrays.ts';
import { loadDefinition } from '../model/load.ts';
import type { Context } from '../program.ts';
import { openRunnable, type RunnableOptions } from '../runnable.ts';
import { print, printJson, table } from '../terminal.ts';

interface RunOptions extends RunnableOptions {
  /** `NAME=FILE` of each. */
  readonly input?: readonly string[];
  readonly out: string;
  readonly json?: boolean;
}

export async function runModel(path: string, given: RunOptions, { own }: Context): Promise<void> {
  const options = await withConstants(path, given, own);
  const runnable = await openRunnable(path, options, own);
  try {
    const inputs = readInputs(runnable.inputs, options.input);
    expectAll(runnable.inputs, inputs);
    const results = await runnable.run(inputs);
    const files = writeOutputs(options.out, runnable.outputs, results);
    if (options.json === true) {
      const described = runnable.outputs.map(({ name, type, file = type.dtype }) => [
        name,
        { file: files.get(name), dtype: file, shape: type.shape },
      ]);
      printJson({ target: runnable.target, outputs: Object.fromEntries(described) });
    } else {
      const rows = runnable.outputs.map((output) => [output.name, formatBoundary(output), files.get(output.name)!]);
      print(table([{ title: 'output' }, { title: 'type' }, { title: 'file' }], rows));
    }
  } finally {
    runnable.close();
  }
}

/** An ONNX model's inputs that shapes depend on are constants: their files are given like those of any other input. */
async function withConstants(path: string, options: RunOptions, own: Context['own']): Promise<RunOptions> {
  if (!path.toLowerCase().endsWith('.onnx')) return options;
  try {
    await loadDefinition(path, options, own);
    return options;
  } catch (error) {
    if (!(error instanceof UnsupportedModelError)) throw error;
    const moved = (options.input ?? []).flatMap((text) => {
      const name = error.inputs.find((input) => text.startsWith(`${input}=`));
      return name === undefined ? [] : [{ text, name, file: text.slice(name.length + 1) }];
    });
    if (moved.length === 0) throw error;
    const input = (options.input ?? []).filter((text) => !moved.some((next) => next.text === text));
    const constant = new Map([...(options.constant ?? []), ...moved.map(({ name, file }) => [name, file] as const)]);
    return withConstants(path, { ...options, input, constant }, own);
  }
}
