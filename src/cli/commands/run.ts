// `ashlar run`: one call on inputs from files, its outputs as files.

import { expectAll, formatBoundary, readInputs, writeOutputs } from '../arrays.ts';
import type { Context } from '../program.ts';
import { openRunnable, type RunnableOptions } from '../runnable.ts';
import { print, printJson, table } from '../terminal.ts';

interface RunOptions extends RunnableOptions {
  /** `NAME=FILE` of each. */
  readonly input?: readonly string[];
  readonly out: string;
  readonly json?: boolean;
}

export async function runModel(path: string, options: RunOptions, { own }: Context): Promise<void> {
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
