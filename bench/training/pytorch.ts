// A Python process that trains one model with PyTorch when told to, line by line.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./pytorch_steps.py', import.meta.url));

/** What is imported, and the packages of Debian that bring it. */
export interface PythonNeeds {
  readonly modules: readonly string[];
  readonly packages: readonly string[];
}

const forTraining: PythonNeeds = { modules: ['torch', 'numpy'], packages: ['python3-torch', 'libopenblas0-openmp'] };

/** The first Python that has the modules: $ASHLAR_BENCH_PYTHON, python3, or the system's own. */
export function findPython({ modules, packages }: PythonNeeds = forTraining): string {
  const given = process.env.ASHLAR_BENCH_PYTHON;
  const candidates = given === undefined ? ['python3', '/usr/bin/python3'] : [given];
  const found = candidates.find((python) => {
    try {
      execFileSync(python, ['-c', `import ${modules.join(', ')}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  if (found === undefined)
    throw new Error(
      `none of ${candidates.join(', ')} has ${modules.join(', ')}: on Debian, apt-get install ${packages.join(' ')}, or name a Python in $ASHLAR_BENCH_PYTHON`,
    );
  return found;
}

/** The BLAS that the dynamic loader gave a process: Debian's libtorch takes whatever stands behind libblas.so.3. */
function blasOf(child: ChildProcess): string {
  const maps = readFileSync(`/proc/${child.pid}/maps`, 'utf8');
  const found = (pattern: RegExp): string | undefined => maps.match(pattern)?.[0];
  return (
    found(/libopenblas[^/\s]*\.so\S*/) ?? found(/libmkl_core[^/\s]*/) ?? found(/[^/\s]+\/libblas[^/\s]*/) ?? 'unknown'
  );
}

/** What steps took, by the wall and of the processor (all threads together). */
export interface StepsTime {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export interface PyTorch {
  readonly version: string;
  /** The instructions that its own kernels use; those of oneDNN and the BLAS choose for themselves. */
  readonly capability: string;
  readonly blas: string;
  /** The losses of the next `count` steps. */
  losses(count: number): Promise<number[]>;
  setThreads(count: number): Promise<void>;
  /** Times `count` steps, after one that is not counted. */
  run(count: number): Promise<StepsTime>;
  end(): void;
}

/** Starts PyTorch on the weights and the batch in two safetensors files. */
export async function startPyTorch(python: string, model: string, weights: string, batch: string): Promise<PyTorch> {
  const child = spawn(python, [script, model, weights, batch], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${script} ended before it answered`);
    return JSON.parse(value);
  };
  const ask = (what: string, count: number): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify({ [what]: count })}\n`);
    return next();
  };
  const { version, configuration } = (await next()) as { version: string; configuration: string };
  return {
    version,
    capability: configuration.match(/CPU capability usage: (\S+)/)?.[1] ?? 'unknown',
    blas: blasOf(child),
    losses: async (count) => (await ask('losses', count)) as number[],
    setThreads: async (count) => {
      const set = await ask('threads', count);
      if (set !== count) throw new Error(`PyTorch was asked for ${count} threads and uses ${set}`);
    },
    run: async (count) => (await ask('run', count)) as StepsTime,
    end: () => child.stdin.end(),
  };
}
