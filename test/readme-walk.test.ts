// The README's walk from a model to shipped artifacts: its files are written, its commands run line by line as they stand there.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNpy } from '../src/io/npy.ts';
import { CommandLine } from './helpers/cli.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(project, 'README.md'), 'utf8');
const files = [...readme.matchAll(/```ts file=(\S+)\n([\s\S]*?)```/g)].map(([, name, text]) => ({
  name: name!,
  text: text!,
}));
const commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.trimEnd().split('\n'));

let ashlar: CommandLine;

beforeAll(async () => {
  ashlar = await CommandLine.build();
  for (const { name, text } of files) ashlar.write(name, text);
  // In a project of a user's, npx finds both commands in node_modules.
  const tsx = createRequire(import.meta.url).resolve('tsx/cli');
  const script = `#!/bin/sh
command=$1
shift
case $command in
  ashlar) exec '${process.execPath}' '${ashlar.command}' "$@" ;;
  tsx) TSX_TSCONFIG_PATH='${join(project, 'tsconfig.json')}' exec '${process.execPath}' '${tsx}' "$@" ;;
esac
exit 9
`;
  ashlar.write('bin/npx', script);
  chmodSync(join(ashlar.folder, 'bin/npx'), 0o755);
});
afterAll(() => ashlar.remove());

describe('the walk from model to shipped artifact', () => {
  it('is there: two files and the commands', () => {
    expect(files.map(({ name }) => name)).toEqual(['xor.ts', 'train.ts']);
    const used = commands.map((line) => /^npx ashlar (\w+)/.exec(line)?.[1]).filter((name) => name !== undefined);
    expect(new Set(used)).toEqual(new Set(['check', 'inspect', 'verify', 'bench', 'compile', 'run']));
  });

  it.each(commands)('%s', (line) => {
    const { status, stderr } = spawnSync('/bin/sh', ['-c', line], {
      cwd: ashlar.folder,
      encoding: 'utf8',
      timeout: 120_000,
      env: { ...process.env, ASHLAR_TARGET: '', PATH: `${join(ashlar.folder, 'bin')}:${process.env.PATH}` },
    });
    // Without a driver Dawn itself says so, before the command does.
    const own = stderr.replace(/^Warning: Couldn't load Vulkan[\s\S]*?\n\n+/, '');
    expect(own.replace(/^target wgsl is left out: .*\n/m, '')).toBe('');
    expect(status).toBe(0);
  });

  it('has made what the README says', () => {
    const { data } = readNpy(readFileSync(join(ashlar.folder, 'results/p.npy')));
    expect(Array.from(data as Float32Array, Math.round)).toEqual([0, 1, 1, 0]);
    for (const file of ['dist/xor/README.md', 'dist/xor/CMakeLists.txt', 'dist/xor/example', 'dist/web/predict.js'])
      expect(existsSync(join(ashlar.folder, file)), file).toBe(true);
  });
});
