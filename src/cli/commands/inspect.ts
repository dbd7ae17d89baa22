// `ashlar inspect`: a model at one stage of its compilation.

import type { GpuKind } from '../../passes/gpu/schedule.ts';
import type { Cpu } from '../../runtime/c/compiler.ts';
import { Misuse } from '../failure.ts';
import { isArtifact, loadDefinition, type ModelOptions } from '../model/load.ts';
import { expectForTarget } from '../options.ts';
import type { Context } from '../program.ts';
import { boundFunc, graphAfter, programFor, stageText, type Target, type TextStage } from '../stages.ts';
import { printSummary, summarize } from '../summary.ts';
import { print, printJson } from '../terminal.ts';
import { inspectArtifact } from './inspect-artifact.ts';

interface InspectOptions extends ModelOptions {
  readonly stage: 'summary' | TextStage;
  readonly pass?: string;
  readonly target?: Target;
  readonly cpu?: readonly Cpu[];
  readonly kernels?: GpuKind;
  readonly tuning?: string;
  readonly json?: boolean;
}

export async function inspectModel(path: string, options: InspectOptions, { own }: Context): Promise<void> {
  const { stage, pass, json = false } = options;
  if (pass !== undefined && stage !== 'graph' && stage !== 'summary')
    throw new Misuse(`--pass shows the graph after a pass; leave --stage ${stage} out`);
  if ((options.cpu?.length ?? 0) > 1) throw new Misuse('--cpu: one processor expected, an artifact may have several');
  const ofStage = stage === 'c' || stage === 'wgsl' || stage === 'js' ? stage : undefined;
  if (options.target !== undefined && ofStage !== undefined && options.target !== ofStage)
    throw new Misuse(`--stage ${stage} is of target ${stage}; leave --target out`);
  const target = options.target ?? ofStage ?? 'c';
  const [cpu] = options.cpu ?? [];
  const making = { cpu, kernels: options.kernels, tuning: options.tuning };
  expectForTarget(target, making);
  if (isArtifact(path)) {
    if (making.tuning !== undefined)
      throw new Misuse(`--tuning is for models, ${path} is an artifact; give it to "ashlar compile"`);
    if (pass !== undefined || stage !== 'summary')
      throw new Misuse(`${path} is an artifact: it has a summary, other stages are the model's`);
    inspectArtifact(path, json);
    return;
  }
  const definition = await loadDefinition(path, options, own);
  if (pass === undefined && stage === 'summary') {
    const summary = summarize(programFor(boundFunc(definition), target, making), target);
    if (json) printJson(summary);
    else print(printSummary(summary));
    return;
  }
  const text =
    pass === undefined ? stageText(definition, stage as TextStage, target, making) : graphAfter(definition, pass);
  if (json) printJson(pass === undefined ? { stage, text } : { stage: 'graph', pass, text });
  else print(text);
}
