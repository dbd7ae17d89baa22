// A program's code in several files, which as many processes can compile at once.

import type { CSource, ProgramSource } from './program.ts';

/** A kernel's text, and what another file has to know to call it. */
export interface KernelText {
  readonly declaration: string;
  readonly text: string;
}

/** What a program's code consists of, in this order. */
export interface CPieces {
  /** Types and helpers: part of every file. */
  readonly head: readonly string[];
  readonly constants: readonly string[];
  readonly kernels: readonly KernelText[];
  /** The functions that call the kernels. */
  readonly entries: readonly string[];
}

/** Below so many characters of kernels for each file, reading the helpers again costs what a second processor saves. */
const fewestCharacters = 24_000;

/** In several files kernels are seen by the linker, and by nobody outside of the library. */
const linkedKernels = `#undef ASH_KERNEL
#define ASH_KERNEL __attribute__((noinline, visibility("hidden"))) void`;

/**
 * The code as at most `most` files, constants and entries in the first. Kernels go to where least is so far, the longest
 * first. One file, the code as it is, where there is too little for more, or its pieces are not known.
 */
export function partsOf(source: CSource | ProgramSource, most: number, fewest = fewestCharacters): readonly string[] {
  if (!('pieces' in source)) return [source.code];
  const { code, pieces } = source;
  const characters = pieces.kernels.reduce((sum, { text }) => sum + text.length, 0);
  const count = Math.min(most, Math.floor(characters / fewest), pieces.kernels.length);
  if (count < 2) return [code];
  const parts = Array.from({ length: count }, () => ({ characters: 0, texts: [] as string[] }));
  for (const { text } of [...pieces.kernels].sort((a, b) => b.text.length - a.text.length)) {
    const least = parts.reduce((found, part) => (part.characters < found.characters ? part : found));
    least.characters += text.length;
    least.texts.push(text);
  }
  const declarations = pieces.kernels.map(({ declaration }) => declaration).join('\n');
  return parts.map(({ texts }, i) => {
    const own = i === 0 ? [...pieces.constants, declarations, ...texts, ...pieces.entries] : texts;
    return `${[...pieces.head, linkedKernels, ...own].join('\n\n')}\n`;
  });
}
