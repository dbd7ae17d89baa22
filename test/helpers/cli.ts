// The command as a process: the package's bundles in a folder of their own, and models beside them.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
// @ts-expect-error it has no typings
import { bundle } from '../../scripts/bundle.mjs';

const project = fileURLToPath(new URL('../..', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class CommandLine {
  /** Where commands run: within the project, so that models find its packages and its tsconfig.json. */
  readonly folder: string;
  readonly command: string;

  private constructor(folder: string) {
    this.folder = join(folder, 'work');
    this.command = join(folder, 'dist/cli.js');
  }

  static async build(): Promise<CommandLine> {
    mkdirSync(join(project, '.cache'), { recursive: true });
    const folder = mkdtempSync(join(project, '.cache', 'cli-'));
    await bundle(join(folder, 'dist'));
    const commandLine = new CommandLine(folder);
    mkdirSync(commandLine.folder);
    return commandLine;
  }

  /** Writes a file that commands will read; returns its name. */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return name;
  }

  run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Ran {
    const { status, stdout, stderr } = spawnSync(process.execPath, [this.command, ...args], {
      cwd: this.folder,
      encoding: 'utf8',
      // Long enough for a machine that does much else.
      timeout: 300_000,
      env: { ...process.env, ASHLAR_TARGET: '', ...environment },
    });
    return { code: status, stdout, stderr };
  }

  /** What a command that succeeds prints as JSON. Throws with its errors where it fails. */
  // biome-ignore lint/suspicious/noExplicitAny: what it prints is what a test is about
  json(args: readonly string[]): any {
    const { code, stdout, stderr } = this.run([...args, '--json']);
    if (code !== 0) throw new Error(`ashlar ${args.join(' ')} ended with ${code}:\n${stderr}`);
    return JSON.parse(stdout);
  }

  remove(): void {
    rmSync(dirname(this.folder), { recursive: true, force: true });
  }
}
