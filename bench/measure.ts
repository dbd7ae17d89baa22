// Timing on shared, noisy machines: alternating runs, medians, ratios.

/** Milliseconds that one call takes: the fastest of a few short series, so that a neighbour's work does not count. */
export function best(run: () => void, { seconds = 1, least = 5 } = {}): number {
  run();
  const end = performance.now() + seconds * 1000;
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < least || performance.now() < end; i++) {
    const start = performance.now();
    run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return fastest;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median milliseconds of each candidate, the candidates taking turns so that all meet the same weather. */
export function alternate<K extends string>(
  runs: Readonly<Record<K, () => void>>,
  { rounds = 15, warmup = 2 } = {},
): Record<K, number> {
  const names = Object.keys(runs) as K[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = -warmup; round < rounds; round++) {
    for (const name of names) {
      const start = performance.now();
      runs[name]();
      if (round >= 0) times[name].push(performance.now() - start);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<K, number>;
}

/** A table in Markdown, columns padded for reading as text. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n');
}

/** Progress to stderr, so that results on stdout can be kept. */
export function progress(what: string): void {
  process.stderr.write(`… ${what}\n`);
}
