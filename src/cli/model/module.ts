// Models written in TypeScript or JavaScript. The module and what it imports by path become one module in memory, with a source
// map, so that errors keep the user's lines; packages are loaded from where they lie, and `ashlar` is always the package
// whose command runs.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Loader, Message, Plugin } from 'esbuild';
import { LimitationError, UserError } from '../../ir/errors.ts';
import { Failure, messageOf } from '../failure.ts';

/** URLs of this package's entries by the names under which models import them. */
export type OwnModules = Readonly<Record<string, string>>;

export const moduleExtensions = ['.ts', '.mts', '.js', '.mjs'];

/** What the module exports. Throws Failure with the user's line where it does not parse or throws itself. */
export async function loadModule(path: string, own: OwnModules): Promise<Readonly<Record<string, unknown>>> {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-model-'));
  const file = join(folder, 'model.mjs');
  const write = process.stdout.write;
  try {
    writeFileSync(file, await bundled(path, file, own));
    process.setSourceMapsEnabled(true);
    // stdout is for results: what the model says while it loads goes to stderr.
    process.stdout.write = process.stderr.write.bind(process.stderr) as typeof write;
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw modelError(error, path);
  } finally {
    process.stdout.write = write;
    rmSync(folder, { recursive: true, force: true });
  }
}

async function bundled(path: string, outfile: string, own: OwnModules): Promise<string> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [resolve(path)],
    outfile,
    write: false,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'silent',
    define: placesOfModules,
    plugins: [packages(own), places],
  });
  return outputFiles[0]!.text;
}

/** What a module knows of its own place, each module by variables of its own: in the bundle it would be the bundle's. */
const placesOfModules = {
  'import.meta.url': '__ashlar_url',
  'import.meta.filename': '__ashlar_filename',
  'import.meta.dirname': '__ashlar_dirname',
};

const places: Plugin = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.[mc]?[jt]s$/ }, async ({ path }) => {
      const { readFile } = await import('node:fs/promises');
      const variables: Record<string, string> = {
        __ashlar_url: pathToFileURL(path).href,
        __ashlar_filename: path,
        __ashlar_dirname: dirname(path),
      };
      const text = await readFile(path, 'utf8');
      // On the first line, and only where they are needed: positions below stay as they are.
      const used = /import\.meta\.(url|filename|dirname)/.test(text);
      const declared = Object.entries(variables).map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
      const contents = used ? `${declared.join(' ')} ${text}` : text;
      return { contents, loader: extname(path).includes('ts') ? 'ts' : ('js' as Loader), resolveDir: dirname(path) };
    });
  },
};

/** Packages stay outside, by the place that they resolve to from the module that imports them. */
const packages = (own: OwnModules): Plugin => ({
  name: 'packages',
  setup({ onResolve, resolve: resolveImport }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
      if (kind === 'entry-point' || pluginData === inside || path.startsWith('node:')) return undefined;
      const ours = own[path];
      if (ours !== undefined) return { path: ours, external: true };
      const found = await resolveImport(path, { importer, resolveDir, kind, pluginData: inside });
      if (found.errors.length > 0) return { errors: found.errors };
      if (found.external) return { path: found.path, external: true };
      // A path that tsconfig.json or a workspace names otherwise is the user's own source.
      if (!found.path.includes('/node_modules/')) return { path: found.path };
      return { path: pathToFileURL(found.path).href, external: true };
    });
  },
});

const inside = Symbol('asked by the plugin itself');

/** One error with the user's line, whatever was thrown. */
function modelError(error: unknown, path: string): Error {
  const messages = (error as { errors?: readonly Message[] }).errors;
  if (Array.isArray(messages) && messages.length > 0) return new Failure(messages.map(parseMessage).join('\n'));
  if (error instanceof UserError || error instanceof LimitationError) return error;
  if (!(error instanceof Error)) return new Failure(`${path} throws ${JSON.stringify(error) ?? String(error)}`);
  const where = userFrames(error.stack ?? '');
  const said = `${path} throws ${error.name}: ${messageOf(error)}`;
  return new Failure([said, ...where.map((frame) => `  at ${frame}`)].join('\n'));
}

const parseMessage = ({ text, location }: Message): string =>
  location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`;

const mostFrames = 5;

/** The frames that are neither Node's nor a package's, the innermost first. */
function userFrames(stack: string): string[] {
  const places = [...stack.matchAll(/^\s*at (?:.*? \()?((?:file:\/\/|\/|[A-Za-z]:\\).+?:\d+:\d+)\)?$/gm)];
  return places
    .map(([, place]) => (place!.startsWith('file://') ? fileURLToPath(place!) : place!))
    .filter((place) => !place.includes('/node_modules/') && !place.startsWith(ownFolder))
    .slice(0, mostFrames)
    .map((place) => (place.startsWith(`${process.cwd()}/`) ? relative(process.cwd(), place) : place));
}

/** Where this package's own code lies, sources or built. */
const ownFolder = fileURLToPath(import.meta.url).replace(/(cli\/model|chunks)\/[^/]*$/, '');
