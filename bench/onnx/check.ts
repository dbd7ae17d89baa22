// npm run bench onnx [c | wgsl] [MODEL …]: the exported networks through the ONNX importer, on C and on WebGPU, against PyTorch's answers.

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { results } from '../kept.ts';
import { progress, table } from '../measure.ts';
import type { CheckTarget, SideCheck } from './check-side.ts';
import { chosenModels, type ExportedModel, exportedFiles, exportedModels } from './models.ts';

/** What PyTorch's answer may be missed by, as a share of its largest element. */
const tolerance = 1e-4;
const targets: readonly CheckTarget[] = ['c', 'wgsl'];
/** A software adapter takes ten minutes for a network of thirty billion operations, on a machine with other work hours. */
const patienceMinutes = 150;

interface ModelCheck {
  readonly megabytes: number;
  /** Targets that were never checked are not there. */
  readonly sides: Readonly<Partial<Record<CheckTarget, SideCheck | { readonly failure: string }>>>;
}

const keptPath = `${results}onnx.json`;
const kept = (): Record<string, ModelCheck> =>
  existsSync(keptPath) ? (JSON.parse(readFileSync(keptPath, 'utf8')) as Record<string, ModelCheck>) : {};

/** Checks the models and targets that are named, or all; the others stay as they were checked last. */
export async function onnxCheck(args: readonly string[]): Promise<string> {
  mkdirSync(results, { recursive: true });
  const isTarget = (arg: string): boolean => targets.some((target) => target === arg);
  const chosen = targets.filter((target) => !args.some(isTarget) || args.includes(target));
  for (const model of chosenModels(args.filter((arg) => !isTarget(arg)))) {
    const check = await checkModel(model, chosen);
    writeFileSync(keptPath, `${JSON.stringify({ ...kept(), [model.name]: check }, null, 2)}\n`);
  }
  const all = kept();
  return [
    '## ONNX files of PyTorch',
    '',
    "Networks as PyTorch 1.13 exports them, with seeded weights, on a recorded input; 'difference' is from PyTorch's answer, as a share of",
    `its largest element (aim: ${tolerance.toExponential(0)}). 'import' is fromOnnx on the file's bytes: the median of five, and the first.`,
    '',
    table(
      ['model', 'MB', 'import s', 'first s', 'target', 'kernels', 'difference'],
      exportedModels.flatMap((model) => (all[model.name] === undefined ? [] : rowsOf(model, all[model.name]!))),
    ),
    ...exportedModels.flatMap((model) => (all[model.name] === undefined ? [] : failuresOf(model, all[model.name]!))),
  ].join('\n');
}

async function checkModel(model: ExportedModel, chosen: readonly CheckTarget[]): Promise<ModelCheck> {
  const sides = { ...kept()[model.name]?.sides };
  for (const target of chosen) {
    progress(`${model.title}: ${target}`);
    sides[target] = await checkSide(model, target);
  }
  return { megabytes: statSync(exportedFiles(model).onnx).size / 1e6, sides };
}

async function checkSide(
  { name }: ExportedModel,
  target: CheckTarget,
): Promise<SideCheck | { readonly failure: string }> {
  const program = fileURLToPath(new URL('./check-side.ts', import.meta.url));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program, name, target], {
      timeout: patienceMinutes * 60_000,
    });
    return JSON.parse(stdout) as SideCheck;
  } catch (error) {
    const { killed, stderr } = error as { readonly killed?: boolean; readonly stderr?: string };
    if (killed === true) return { failure: `no answer in ${patienceMinutes} minutes` };
    const lines = (stderr ?? '').split('\n');
    return { failure: lines.find((line) => /^\s*\w*Error\b/.test(line))?.trim() ?? (error as Error).message };
  }
}

function rowsOf({ title }: ExportedModel, { megabytes, sides }: ModelCheck): (string | number)[][] {
  return targets.map((target, i) => {
    const side = sides[target];
    const first = i === 0 ? [title, megabytes.toFixed(1)] : ['', ''];
    if (side === undefined) return [...first, '', '', target, '', 'not checked'];
    if ('failure' in side) return [...first, '', '', target, '', 'fails'];
    const { importSeconds, firstImportSeconds, kernels, difference } = side;
    return [
      ...first,
      importSeconds.toFixed(2),
      firstImportSeconds.toFixed(2),
      target,
      kernels,
      `${difference.toExponential(0)}${difference <= tolerance ? '' : ' (wrong)'}`,
    ];
  });
}

function failuresOf({ title }: ExportedModel, { sides }: ModelCheck): string[] {
  return targets.flatMap((target) => {
    const side = sides[target];
    return side !== undefined && 'failure' in side ? ['', `${title} on ${target} fails: ${side.failure}`] : [];
  });
}
