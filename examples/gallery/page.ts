// The page of the gallery and the table in the README, as text made of the rows and of the records that programs wrote.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GalleryRecord } from './program.ts';
import { type GalleryRow, galleryRows } from './rows.ts';

const head = `# Gallery

Small programs that each train or show one thing, with the figures that they reached and what they drew. Each runs in under a minute
in compiled C, and with \`--target wgsl\` on WebGPU. This page and its pictures are written by

    npm run gallery

which runs all of them again, or those that are named: \`npm run gallery -- optimizer-paths\`.
`;

/** What the program of a row wrote in `folder`. Throws where it has not been run. */
export function recordOf({ program }: GalleryRow, folder: string): GalleryRecord {
  return JSON.parse(readFileSync(join(folder, `${program}.json`), 'utf8')) as GalleryRecord;
}

function section(row: GalleryRow, folder: string): string {
  const { figures, pictures } = recordOf(row, folder);
  const drawn = pictures.map((picture) => `![${row.title}](gallery/${picture})`);
  const reached = Object.entries(figures).map(([name, value]) => `| ${name} | ${value} |`);
  return [
    `## ${row.title}`,
    `${row.shows}`,
    `    npx tsx examples/${row.program}.ts`,
    ...drawn,
    ['| figure | reached |', '| --- | --- |', ...reached].join('\n'),
  ].join('\n\n');
}

/** The rows whose programs have written a record in `folder`. */
export const rowsIn = (folder: string): GalleryRow[] =>
  galleryRows.filter(({ program }) => existsSync(join(folder, `${program}.json`)));

/** docs/gallery.md, from the records in `folder`. */
export const galleryPage = (folder: string): string =>
  `${[head.trimEnd(), ...rowsIn(folder).map((row) => section(row, folder))].join('\n\n')}\n`;

/** GitHub's anchor of a heading. */
const anchor = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');

/** The table of the README, of the same rows. */
export const galleryTable = (folder: string): string =>
  [
    '| program | shows |',
    '| --- | --- |',
    ...rowsIn(folder).map(
      ({ program, title, shows }) =>
        `| [${title}](docs/gallery.md#${anchor(title)}), \`examples/${program}.ts\` | ${shows} |`,
    ),
  ].join('\n');

const [begin, end] = ['<!-- gallery -->', '<!-- end of gallery -->'];

/** A page with the table between its two marks. Throws where it has none. */
export function withTable(page: string, table: string): string {
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`${begin} and ${end} expected, between which the table stands`);
  return `${page.slice(0, start + begin.length)}\n${table}\n${page.slice(stop)}`;
}
