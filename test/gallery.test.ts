// The gallery as a whole: every row has its program, its test, its record and pictures, and both pages are what those say. What a
// program reaches is the matter of its own test in test/gallery.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { galleryPage, galleryTable, recordOf, withTable } from '../examples/gallery/page.ts';
import {
  barPlot,
  beside,
  draw,
  heatMap,
  histogram,
  imageGrid,
  linePlot,
  over,
  scatterPlot,
} from '../examples/gallery/plots.ts';
import { galleryRows } from '../examples/gallery/rows.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'docs', 'gallery');
const again = 'npm run gallery -- --page';

describe('every row of the gallery', () => {
  it.each(galleryRows)('$program has a program, a test and pictures', (row) => {
    const program = readFileSync(join(root, 'examples', `${row.program}.ts`), 'utf8');
    expect(program).toContain('galleryProgram(import.meta.url');
    expect(existsSync(join(root, 'test', 'gallery', `${row.program}.test.ts`))).toBe(true);
    const { figures, pictures } = recordOf(row, folder);
    expect(Object.keys(figures).length).toBeGreaterThan(0);
    expect(pictures.length).toBeGreaterThan(0);
    for (const picture of pictures) expect(readFileSync(join(folder, picture), 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s);
  });

  it('there are no programs without a row, and no pictures without a program', () => {
    const programs = readdirSync(join(root, 'examples')).filter(
      (file) => file.endsWith('.ts') && readFileSync(join(root, 'examples', file), 'utf8').includes('galleryProgram('),
    );
    expect(programs.sort()).toEqual(galleryRows.map(({ program }) => `${program}.ts`).sort());
    const files = galleryRows.flatMap((row) => [`${row.program}.json`, ...recordOf(row, folder).pictures]);
    expect(readdirSync(folder).sort()).toEqual(files.sort());
  });

  it(`stands in docs/gallery.md and in README.md as \`${again}\` writes them`, () => {
    expect(readFileSync(join(root, 'docs', 'gallery.md'), 'utf8')).toBe(galleryPage(folder));
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    expect(readme).toBe(withTable(readme, galleryTable(folder)));
  });
});

describe('a program of the gallery', () => {
  it('prints its figures, and writes the same bytes whenever it is run', () => {
    const out = mkdtempSync(join(tmpdir(), 'ashlar-gallery-'));
    const tsx = createRequire(import.meta.url).resolve('tsx/cli');
    const run = (...args: string[]) =>
      execFileSync(process.execPath, [tsx, join(root, 'examples/optimizer-paths.ts'), ...args], { encoding: 'utf8' });
    try {
      const printed = run('--target', 'js', '--out', out);
      expect(printed).toMatch(/^f in the last steps, Adam: [\d.e-]+$/m);
      const [first, second] = [0, 1].map((round) => {
        if (round === 1) run('--target', 'js', '--out', out);
        return readdirSync(out).map((file) => [file, readFileSync(join(out, file), 'utf8')]);
      });
      expect(first!.map(([file]) => file)).toEqual(['optimizer-paths.json', 'optimizer-paths.svg']);
      expect(second).toEqual(first);
    } finally {
      rmSync(out, { recursive: true });
    }
  });
});

describe('pictures', () => {
  const axes = { title: 'a plot', x: { title: 'across' }, y: { title: 'up' } };

  it('a line plot has a line for each series and a legend that names them', async () => {
    const series = [
      { name: 'training', y: [3, 2, 1] },
      { name: 'validation', y: [3, 2.5, 2.75] },
    ];
    const svg = await draw(linePlot(series, axes));
    for (const text of ['training', 'validation', 'across', 'up', 'a plot']) expect(svg).toContain(`>${text}<`);
    expect(svg.match(/mark-line/g)!.length).toBe(2);
    expect(await draw(linePlot(series, axes))).toBe(svg);
  });

  it('one series needs no legend', async () => {
    expect(await draw(linePlot([{ name: 'loss', y: [3, 2, 1] }], axes))).not.toContain('>loss<');
  });

  it('a scatter plot has a symbol for each point', async () => {
    const svg = await draw(scatterPlot([{ name: 'p', x: [0, 1, 2, 3], y: [0, 1, 4, 9] }], axes));
    expect(svg.match(/<path[^>]*A/g)!.length).toBe(4);
  });

  it('a histogram counts the values between its edges, the last edge included', async () => {
    const { data } = histogram([0, 0.1, 0.9, 1], 2, axes) as { data: { values: { x: number; y: number }[] } };
    expect(data.values.map(({ x, y }) => [x, y])).toEqual([
      [0, 2],
      [0.5, 2],
    ]);
    expect(await draw(histogram([0, 0.1, 0.9, 1], 2, axes))).toContain('mark-rect');
  });

  it('a bar plot has a bar for each name, in their order', async () => {
    const bars = barPlot(
      [
        { name: 'second', value: 2 },
        { name: 'first', value: 1 },
      ],
      { title: 'bars', y: { title: 'up' } },
    );
    const svg = await draw(bars);
    expect(svg.indexOf('>second<')).toBeLessThan(svg.indexOf('>first<'));
    for (const text of ['bars', 'up', 'second', 'first']) expect(svg).toContain(`>${text}<`);
  });

  it('a heat map holds a PNG whose lower row is the first, under lines drawn over it', async () => {
    const ranges = {
      title: 'map',
      x: { title: 'x', range: [0, 1] as const },
      y: { title: 'y', range: [0, 1] as const },
    };
    const map = heatMap([0, 0, 1, 1], [2, 2], { ...ranges, width: 2, height: 2, colours: 'grays', legend: 'height' });
    const svg = await draw(over(map, linePlot([{ name: 'path', x: [0, 1], y: [0, 1] }], ranges)));
    expect(svg).toContain('>height<');
    const { decode } = await import('fast-png');
    const { data } = decode(Buffer.from(/base64,([^"]+)"/.exec(svg)![1]!, 'base64'));
    expect([...data]).toEqual([255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0]);
  });

  it('a grid of images has each in its place with its caption', async () => {
    const grid = imageGrid([0, 1, 1, 0, 1, 0], [3, 1, 2], {
      title: 'g',
      columns: 2,
      scale: 1,
      captions: ['a', 'b', 'c'],
    });
    const svg = await draw(beside([grid, grid]));
    for (const text of ['a', 'b', 'c']) expect(svg.match(new RegExp(`>${text}<`, 'g'))!.length).toBe(2);
    const { decode } = await import('fast-png');
    const { width, data } = decode(Buffer.from(/base64,([^"]+)"/.exec(svg)![1]!, 'base64'));
    const first = Array.from({ length: width }, (_, x) => data[3 * x]!);
    expect(first).toEqual([0, 255, 255, 255, 255, 255, 255, 0]);
  });

  it('what Vega would only warn of is an error', async () => {
    await expect(
      draw(linePlot([{ name: 'a', y: [1, 2] }], { ...axes, y: { title: 'y', log: true, range: [0, 2] } })),
    ).rejects.toThrow('the picture cannot be drawn');
  });
});
