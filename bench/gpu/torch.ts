// PyTorch as a process of its own (torch_side.py), asked line by line.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findPython } from '../training/pytorch.ts';

export interface TorchMachine {
  readonly cuda: boolean;
  /** PyTorch's version, and the card or why there is none. */
  readonly torch: string;
  readonly device: string;
}

export interface TorchTimes {
  /** Milliseconds of each run by the card's clock; none without CUDA. */
  readonly device: readonly number[];
  /** Milliseconds of a run among many by the host's clock; null without CUDA. */
  readonly wall: number | null;
}

export class TorchSide {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly machine: TorchMachine;

  private constructor(child: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, machine: TorchMachine) {
    this.#process = child;
    this.#lines = lines;
    this.machine = machine;
  }

  /** With the first Python that has PyTorch; null where there is none. */
  static async start(): Promise<TorchSide | null> {
    const script = fileURLToPath(new URL('./torch_side.py', import.meta.url));
    const python = pythonWithTorch();
    if (python === null) return null;
    const child = spawn(python, [script]);
    child.stderr.resume();
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new TorchSide(child, lines, JSON.parse(await nextLine(lines)) as TorchMachine);
  }

  async #ask<Answer>(order: object): Promise<Answer> {
    this.#process.stdin.write(`${JSON.stringify(order)}\n`);
    const answer = JSON.parse(await nextLine(this.#lines)) as Answer & { readonly error?: string };
    if (answer.error !== undefined) throw new Error(`PyTorch: ${answer.error}`);
    return answer;
  }

  /** Reads the operands of an expression of torch_side.py, and writes its result to a file. */
  load(order: {
    readonly expression: string;
    readonly files: readonly string[];
    readonly shapes: readonly (readonly number[])[];
    readonly result: string;
  }): Promise<object> {
    return this.#ask({ do: 'load', ...order });
  }
  time(runs: number): Promise<TorchTimes> {
    return this.#ask({ do: 'time', runs });
  }
  unload(): Promise<object> {
    return this.#ask({ do: 'unload' });
  }
  end(): void {
    this.#process.kill();
  }
}

function pythonWithTorch(): string | null {
  try {
    return findPython();
  } catch {
    return null;
  }
}

/** For people. */
export function describeTorch(torch: TorchSide | null): string {
  if (torch === null) return 'PyTorch is not installed: skipped';
  const { torch: version, cuda, device } = torch.machine;
  return `PyTorch ${version}, ${device}${cuda ? '' : ': results compared, times skipped'}`;
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next();
  if (done === true) throw new Error('python3 ended without an answer');
  return value as string;
}
