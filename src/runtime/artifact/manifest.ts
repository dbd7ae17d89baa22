// Reading a manifest, which may come from anyone: everything that the loader will rely on is checked, and every number is
// believed only where another one agrees.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type Manifest,
  type ManifestFile,
  type ManifestFunction,
  type ManifestTensor,
  manifestFormat,
  manifestVersion,
} from '../../codegen/bindings/manifest.ts';
import { UserError } from '../../ir/errors.ts';
import { bytesPerElement, type DType, dtypes, sizeOf } from '../../ir/types.ts';

/** A manifest with thousands of tensors has a megabyte; what is larger is none. */
const mostManifestBytes = 2 ** 24;
/** The largest memory that a 64-bit process can address. */
const mostBytes = 2 ** 47;

/** A manifest and the folder of its files. */
export interface Found {
  readonly manifest: Manifest;
  readonly folder: string;
  /** The manifest's path, for messages. */
  readonly path: string;
}

/** The manifest at a path, or the one in a folder. Throws UserError where there is none, more than one, or a wrong one. */
export function findManifest(place: string): Found {
  const found = statSync(place, { throwIfNoEntry: false });
  if (found === undefined) throw new UserError(`${place} does not exist; an artifact's folder expected`);
  if (!found.isDirectory()) return { manifest: readManifest(place), folder: dirname(place), path: place };
  const candidates = readdirSync(place)
    .filter((name) => name.endsWith('.json') && saysArtifact(join(place, name)))
    .sort();
  const [only, ...others] = candidates;
  if (only === undefined)
    throw new UserError(`${place} is no artifact: no .json file in it says "format": "${manifestFormat}"`);
  if (others.length > 0)
    throw new UserError(`${place} has ${candidates.length} artifacts; name one of ${candidates.join(', ')}`);
  const path = join(place, only);
  return { manifest: readManifest(path), folder: place, path };
}

function saysArtifact(path: string): boolean {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return size <= mostManifestBytes && existsSync(path) && readFileSync(path, 'utf8').includes(`"${manifestFormat}"`);
}

function readManifest(path: string): Manifest {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > mostManifestBytes) throw new Error(`${size} bytes are too many for a manifest`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  return parseManifest(text, path);
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a manifest's text. Throws UserError with the field, what was expected and what was given, for anything else. */
export function parseManifest(text: string, path: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is no JSON: ${error instanceof Error ? error.message : error}`);
  }
  return new Reader(path).manifest(json);
}

class Reader {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  fail(field: string, expected: string, given: unknown): never {
    const text = typeof given === 'object' && given !== null ? 'another' : (JSON.stringify(given) ?? 'nothing');
    const shown = text.length <= 80 ? text : `${text.slice(0, 77)}…`;
    throw new UserError(`${this.path}: ${field}: ${expected} expected, ${shown} given`);
  }

  manifest(json: unknown): Manifest {
    const fields = this.object('the file', json);
    if (fields.format !== manifestFormat) this.fail('format', JSON.stringify(manifestFormat), fields.format);
    if (fields.version !== manifestVersion) this.fail('version', String(manifestVersion), fields.version);
    const target = this.oneOf('target', ['c', 'wgsl', 'js'] as const, fields.target);
    const name = this.matching('name', /^[A-Za-z0-9][\w.-]{0,99}$/, 'a name', fields.name);
    const functions = this.list('functions', fields.functions, (field, item) => this.function(field, item));
    this.distinct('functions', functions);
    if (functions.length === 0) this.fail('functions', 'at least one', fields.functions);
    if (target === 'c' && functions.length !== 1) this.fail('functions', 'one', fields.functions);
    const states = this.tensors('states', fields.states);
    const files = this.object('files', fields.files);
    const { header, weights } = files;
    if (target === 'c' && header === undefined) this.fail('files.header', 'a file', header);
    if (target === 'c' && fields.workspace === undefined) this.fail('workspace', 'its bytes', fields.workspace);
    return {
      format: manifestFormat,
      version: manifestVersion,
      target,
      name,
      functions,
      states,
      ...(fields.weights === undefined ? {} : { weights: this.weightTypes(fields.weights) }),
      ...(fields.workspace === undefined ? {} : { workspace: this.workspace(fields.workspace) }),
      files: {
        code: this.file('files.code', files.code),
        ...(header === undefined ? {} : { header: this.file('files.header', header) }),
        ...(weights === undefined ? {} : { weights: this.weights(weights) }),
      },
      hash: this.sha256('hash', fields.hash),
    };
  }

  function(field: string, json: unknown): ManifestFunction {
    const { name, inputs, outputs } = this.object(field, json);
    return {
      name: this.text(`${field}.name`, name),
      inputs: this.tensors(`${field}.inputs`, inputs),
      outputs: this.tensors(`${field}.outputs`, outputs),
    };
  }

  tensors(field: string, json: unknown): ManifestTensor[] {
    const tensors = this.list(field, json, (at, item) => this.tensor(at, item));
    this.distinct(field, tensors);
    return tensors;
  }

  tensor(field: string, json: unknown): ManifestTensor {
    const { name, identifier, dtype: wanted, shape: dims, layout, bytes, range } = this.object(field, json);
    const dtype = this.oneOf<DType>(`${field}.dtype`, dtypes, wanted);
    const shape = this.list(`${field}.shape`, dims, (at, dim) => this.count(at, dim, mostBytes));
    const expected = sizeOf(shape) * bytesPerElement[dtype];
    if (!(expected <= mostBytes)) this.fail(`${field}.shape`, `at most ${mostBytes} bytes`, dims);
    if (bytes !== expected) this.fail(`${field}.bytes`, `${expected}, as the shape says,`, bytes);
    const limits =
      range === undefined ? null : this.list(`${field}.range`, range, (at, limit) => this.integer(at, limit));
    if (limits !== null && limits.length !== 2) this.fail(`${field}.range`, 'two numbers', range);
    return {
      name: this.text(`${field}.name`, name),
      identifier: this.text(`${field}.identifier`, identifier),
      dtype,
      shape,
      layout: this.oneOf(`${field}.layout`, ['row-major'] as const, layout),
      bytes: expected,
      ...(limits === null ? {} : { range: [limits[0]!, limits[1]!] as const }),
    };
  }

  weightTypes(json: unknown): NonNullable<Manifest['weights']> {
    const fields = this.object('weights', json);
    for (const [dtype, bytes] of Object.entries(fields)) {
      this.oneOf<DType>('weights', dtypes, dtype);
      this.count(`weights.${dtype}`, bytes, mostBytes);
    }
    return fields as NonNullable<Manifest['weights']>;
  }

  workspace(json: unknown): NonNullable<Manifest['workspace']> {
    const { bytes, alignment } = this.object('workspace', json);
    return {
      bytes: this.count('workspace.bytes', bytes, mostBytes),
      alignment: this.oneOf('workspace.alignment', [64] as const, alignment),
    };
  }

  /** A file beside the manifest, never elsewhere. */
  file(field: string, json: unknown): ManifestFile {
    const { path, bytes, sha256 } = this.object(field, json);
    return {
      path: this.matching(
        `${field}.path`,
        /^[A-Za-z0-9][\w.-]{0,127}$/,
        "the name of a file in the manifest's folder",
        path,
      ),
      bytes: this.count(`${field}.bytes`, bytes, mostBytes),
      sha256: this.sha256(`${field}.sha256`, sha256),
    };
  }

  weights(json: unknown): NonNullable<Manifest['files']['weights']> {
    const { alignment, xxh64 } = this.object('files.weights', json);
    return {
      ...this.file('files.weights', json),
      alignment: this.count('files.weights.alignment', alignment, 4096),
      ...(xxh64 === undefined
        ? {}
        : { xxh64: this.matching('files.weights.xxh64', /^[0-9a-f]{16}$/, '16 hexadecimal digits', xxh64) }),
    };
  }

  object(field: string, json: unknown): Fields {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return this.fail(field, 'an object', json);
    return json as Fields;
  }

  list<Item>(field: string, json: unknown, item: (field: string, json: unknown) => Item): Item[] {
    if (!Array.isArray(json)) return this.fail(field, 'a list', json);
    return json.map((element, i) => item(`${field}[${i}]`, element));
  }

  text(field: string, json: unknown): string {
    return typeof json === 'string' ? json : this.fail(field, 'a text', json);
  }

  matching(field: string, pattern: RegExp, expected: string, json: unknown): string {
    return typeof json === 'string' && pattern.test(json) ? json : this.fail(field, expected, json);
  }

  sha256(field: string, json: unknown): string {
    return this.matching(field, /^[0-9a-f]{64}$/, '64 hexadecimal digits', json);
  }

  oneOf<Item>(field: string, items: readonly Item[], json: unknown): Item {
    return items.find((item) => item === json) ?? this.fail(field, `one of ${items.join(', ')}`, json);
  }

  integer(field: string, json: unknown): number {
    return Number.isSafeInteger(json) ? (json as number) : this.fail(field, 'an integer', json);
  }

  count(field: string, json: unknown, most: number): number {
    const value = this.integer(field, json);
    return value >= 0 && value <= most ? value : this.fail(field, `0 to ${most}`, json);
  }

  distinct(field: string, items: readonly { readonly name: string }[]): void {
    const names = new Set<string>();
    for (const { name } of items) {
      if (names.has(name)) this.fail(field, 'every name once', name);
      names.add(name);
    }
  }
}
