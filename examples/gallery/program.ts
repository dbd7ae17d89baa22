// What every program of the gallery does with what it found: it prints the figures, and with --out FOLDER writes its pictures and
// a record of both there, from which `npm run gallery` makes docs/gallery.md.

import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { LimitationError, UserError } from 'ashlar';
import type { Target } from 'ashlar/node';
import { draw, type Picture } from './plots.ts';

/** What every example takes: for `compile`, which says itself which targets there are. */
export interface ExampleTarget {
  readonly target?: Target;
}

export interface Shown {
  /** What the run reached, under names that tell what each is. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** Pictures by a word for each; the first is the program's own. */
  readonly pictures: readonly Picture[];
}

/** The file NAME.json of a program in docs/gallery. */
export interface GalleryRecord {
  readonly figures: Shown['figures'];
  /** Names of files in the same folder. */
  readonly pictures: readonly string[];
}

/** A number to three digits, as figures are told. */
export const figure = (value: number, digits = 3): number => Number(value.toPrecision(digits));

/** Runs `show` where the module at `url` is the program, as `npx tsx examples/NAME.ts [--target c|wgsl|js] [--out FOLDER]`. */
export async function galleryProgram(url: string, show: (options: ExampleTarget) => Promise<Shown>): Promise<void> {
  const [, program] = process.argv;
  if (program === undefined || pathToFileURL(program).href !== url) return;
  try {
    const { target, out } = options();
    const shown = await show(target === undefined ? {} : { target: target as Target });
    for (const [name, value] of Object.entries(shown.figures)) console.log(`${name}: ${value}`);
    if (out !== undefined) await write(out, basename(program, '.ts'), shown);
  } catch (error) {
    if (!(error instanceof UserError || error instanceof LimitationError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

function options() {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({ options: { target: text, out: text } }).values;
  } catch (error) {
    throw new UserError(`${(error as Error).message}. There are --target c|wgsl|js and --out FOLDER`);
  }
}

async function write(folder: string, program: string, { figures, pictures }: Shown): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const names = pictures.map((_, i) => `${program}${i === 0 ? '' : `-${i + 1}`}.svg`);
  for (const [i, picture] of pictures.entries()) writeFileSync(join(folder, names[i]!), await draw(picture));
  const record: GalleryRecord = { figures, pictures: names };
  writeFileSync(join(folder, `${program}.json`), `${JSON.stringify(record, null, 2)}\n`);
}
