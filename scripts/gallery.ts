// Runs the programs of the gallery, all or those named, and writes their pictures to docs/gallery, the page docs/gallery.md and the
// table in README.md. Run with: npm run gallery [-- PROGRAM ..] [--target c|wgsl|js] [--page]; --page runs nothing and writes the page
// and the table of what is there.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { galleryPage, galleryTable, rowsIn, withTable } from '../examples/gallery/page.ts';
import { type GalleryRow, galleryRows } from '../examples/gallery/rows.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'docs', 'gallery');
const tsx = createRequire(import.meta.url).resolve('tsx/cli');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { target: { type: 'string', default: 'c' }, page: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !galleryRows.some(({ program }) => program === name));
if (unknown.length > 0)
  throw new Error(
    `${unknown} is not in examples/gallery/rows.ts: ${galleryRows.map(({ program }) => program).join(', ')}`,
  );

function run({ program }: GalleryRow): void {
  const began = performance.now();
  console.log(`${program} …`);
  const args = [tsx, join(root, 'examples', `${program}.ts`), '--target', values.target, '--out', folder];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} failed`);
  console.log(`${((performance.now() - began) / 1000).toFixed(1)} s\n`);
}

if (!values.page)
  galleryRows.filter(({ program }) => positionals.length === 0 || positionals.includes(program)).forEach(run);
writeFileSync(join(root, 'docs', 'gallery.md'), galleryPage(folder));
const readme = join(root, 'README.md');
writeFileSync(readme, withTable(readFileSync(readme, 'utf8'), galleryTable(folder)));

const missing = galleryRows.filter((row) => !rowsIn(folder).includes(row)).map(({ program }) => program);
if (missing.length > 0) console.error(`not on the page, because they have not been run: ${missing.join(', ')}`);
