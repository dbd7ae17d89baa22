// What the training examples take on the command line: a folder, --target, and --epochs, --examples and --batch for a
// shorter run.

import { parseArgs } from 'node:util';
import { type Dataset, selectExamples, UserError } from 'ashlar';
import type { Target } from 'ashlar/node';

export interface ExampleOptions {
  readonly folder: string | undefined;
  /** For `compile`: empty where the machine decides, or $ASHLAR_TARGET. */
  readonly target: { readonly target?: Target };
  readonly epochs: number;
  readonly batchSize: number;
  /** The first examples of a dataset: as many as were asked for, or all. */
  readonly shorten: <Data extends Dataset>(data: Data) => Data;
  /** Whether training is as long as it should be for the accuracy that is expected. */
  readonly isWhole: boolean;
}

/** Throws UserError for an option that does not exist and for a number that is none. */
export function exampleOptions(usualEpochs: number, usualBatchSize: number): ExampleOptions {
  const { values, positionals } = parsed();
  const epochs = count('--epochs', values.epochs) ?? usualEpochs;
  const examples = count('--examples', values.examples) ?? Number.POSITIVE_INFINITY;
  // compile itself says which targets there are.
  const target = values.target === undefined ? {} : { target: values.target as Target };
  return {
    folder: positionals[0],
    target,
    epochs,
    batchSize: count('--batch', values.batch) ?? usualBatchSize,
    shorten: (data) => {
      const all = Object.values(data)[0]!.shape[0]!;
      const kept = Array.from({ length: Math.min(examples, all) }, (_, i) => i);
      return selectExamples(data, kept) as typeof data;
    },
    isWhole: epochs >= usualEpochs && examples === Number.POSITIVE_INFINITY,
  };
}

function count(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new UserError(`${option}: a whole number of at least 1 expected, ${text} given`);
  return number;
}

function parsed() {
  try {
    const text = { type: 'string' } as const;
    const options = { target: text, epochs: text, examples: text, batch: text };
    return parseArgs({ allowPositionals: true, options });
  } catch (error) {
    throw new UserError(
      `${(error as Error).message}. There are FOLDER, --target c|wgsl|js, --epochs, --examples and --batch`,
    );
  }
}
