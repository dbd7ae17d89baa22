// Digits in the terminal: each pixel is two characters wide, so that it is about square.

const shades = [' ', '░', '▒', '▓', '█'];

/** An image of `width` columns, row-major, elements from 0 to `full`, as lines of text. */
export function drawImage(pixels: ArrayLike<number>, width: number, full: number): string[] {
  const lines: string[] = [];
  for (let start = 0; start < pixels.length; start += width) {
    let line = '';
    for (let column = 0; column < width; column++) {
      const level = Math.round((pixels[start + column]! / full) * (shades.length - 1));
      line += shades[Math.max(0, Math.min(shades.length - 1, level))]!.repeat(2);
    }
    lines.push(line);
  }
  return lines;
}

/** Blocks of lines side by side, each under its caption. */
export function sideBySide(blocks: readonly { readonly lines: readonly string[]; readonly caption: string }[]): string {
  const width = Math.max(
    ...blocks.flatMap(({ lines, caption }) => [caption.length, ...lines.map((line) => line.length)]),
  );
  const height = Math.max(...blocks.map(({ lines }) => lines.length));
  const row = (cells: readonly string[]): string =>
    cells
      .map((cell) => cell.padEnd(width))
      .join('  │  ')
      .trimEnd();
  const images = Array.from({ length: height }, (_, line) => row(blocks.map(({ lines }) => lines[line] ?? '')));
  return [...images, row(blocks.map(({ caption }) => caption))].join('\n');
}
