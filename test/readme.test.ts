// The programs of the README, of docs/transformations.md and of docs/loops.md: each is type-checked, run as a user would, and must print what the text says.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(project, 'README.md'), 'utf8');

interface Program {
  readonly title: string;
  readonly code: string;
  readonly runs: boolean;
  /** What the block of text after it says that it prints. */
  readonly printed: string;
}

const explained = ['transformations', 'loops'].map((page) => readFileSync(join(project, `docs/${page}.md`), 'utf8'));

const programs = [
  ...[readme, ...explained].join('\n').matchAll(/```ts( no-run)?\n([\s\S]*?)```(?:\n\n```text\n([\s\S]*?)```)?/g),
].map(
  ([, noRun, code, printed], i): Program => ({
    title: `program ${i + 1}: ${code!.split('\n').find((line) => line.startsWith('const '))}`,
    code: code!,
    runs: noRun === undefined,
    printed: printed ?? '',
  }),
);

let folder = '';
const fileOf = (i: number): string => join(folder, `program${i}.ts`);

beforeAll(() => {
  // Within the project, so that the programs find its packages and its tsconfig.
  mkdirSync(join(project, '.cache'), { recursive: true });
  folder = mkdtempSync(join(project, '.cache', 'readme-'));
  for (const [i, { code }] of programs.entries()) writeFileSync(fileOf(i), code);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the README', () => {
  it('has programs, and says what those that run print', () => {
    expect(programs.length).toBeGreaterThanOrEqual(5);
    expect(programs.filter(({ runs, printed }) => runs && printed === '')).toEqual([]);
  });

  it('has programs that type-check', () => {
    const config = ts.readConfigFile(join(project, 'tsconfig.json'), ts.sys.readFile).config as object;
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, project);
    const program = ts.createProgram(
      programs.map((_, i) => fileOf(i)),
      { ...options, incremental: false, tsBuildInfoFile: undefined },
    );
    const messages = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
      const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
      return `${file?.fileName.slice(-12)}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
    expect(messages).toEqual([]);
  });

  for (const [i, { title, runs, printed }] of programs.entries()) {
    if (!runs) continue;
    it(title, () => {
      const tsx = createRequire(import.meta.url).resolve('tsx/cli');
      const { stdout, stderr } = spawnSync(process.execPath, [tsx, fileOf(i)], {
        cwd: folder,
        encoding: 'utf8',
        timeout: 60_000,
        env: { ...process.env, TSX_TSCONFIG_PATH: join(project, 'tsconfig.json') },
      });
      expect(stderr).toBe('');
      expect(stdout).toBe(printed);
    });
  }

  it('names files and commands that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as { scripts: object };
    for (const [, script] of readme.matchAll(/npm run (\w+)/g)) expect(Object.keys(scripts)).toContain(script);
    for (const [, target] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
      expect(ts.sys.fileExists(join(project, target!)) || ts.sys.directoryExists(join(project, target!))).toBe(true);
    }
  });

  it('says what CI runs', () => {
    const ci = readFileSync(join(project, '.ci/run'), 'utf8');
    expect(readme).toContain('npm ci && npm test');
    expect(ci).toMatch(/^npm ci\nnpm test$/m);
  });
});
