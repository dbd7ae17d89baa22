// `ashlar verify`: every target against the float64 reference, on random inputs and at the edges of numbers.

import { LimitationError, UserError } from '../../ir/errors.ts';
import type { Func } from '../../ir/graph.ts';
import { type NdArray, ndarray } from '../../ir/ndarray.ts';
import { inlineCalls } from '../../passes/inline.ts';
import { arrayFrom } from '../../runtime/arrays.ts';
import { hasCompiler } from '../../runtime/c/compiler.ts';
import type { Definition } from '../../runtime/definition.ts';
import { cases as allCases } from '../choices.ts';
import { Misuse } from '../failure.ts';
import { loadDefinition, type ModelOptions } from '../model/load.ts';
import type { ModelDefinition } from '../model/onnx.ts';
import type { Context } from '../program.ts';
import { compiled, type Runnable } from '../runnable.ts';
import type { Target } from '../stages.ts';
import { harmless, note, print, printJson, progress, styled, table } from '../terminal.ts';
import { type Judged, judge } from '../verify/bounds.ts';
import { type Case, type CaseName, casesFor } from '../verify/cases.ts';
import { compare, emptyReport, type OutputReport } from '../verify/compare.ts';

interface VerifyOptions extends ModelOptions {
  readonly targets?: readonly Target[];
  readonly seed: number;
  readonly cases?: readonly CaseName[];
  readonly json?: boolean;
}

interface TargetReport {
  readonly target: Target;
  readonly outputs: readonly OutputReport[];
}

export async function verifyModel(path: string, options: VerifyOptions, { own, finish }: Context): Promise<void> {
  const definition = await loadDefinition(path, options, own);
  const runnables = await targetsOf(definition, options.targets);
  try {
    const func = inlineCalls.run(definition.func);
    const cases = casesFor(func, options.seed, options.cases ?? allCases);
    if (cases.length === 0)
      throw new Misuse('no input of the function is of floats: the cases of --cases are all the same');
    const reports = runnables.map(({ target }) => ({
      target,
      outputs: func.results.map(({ name, value }) => emptyReport(name, value.type.dtype)),
    }));
    const bar = progress('verifying', cases.length * (runnables.length + 1));
    for (const next of cases) {
      const judged = judge(func, argumentsOf(func, definition, next), options.seed);
      bar.advance(`${next.name}: reference`);
      for (const [i, runnable] of runnables.entries()) {
        await compareTarget(runnable, definition, next, judged, reports[i]!);
        bar.advance(`${next.name}: ${runnable.target}`);
        await new Promise(setImmediate);
      }
    }
    bar.stop();
    const ok = reports.every(({ outputs }) => outputs.every(({ ofBound }) => ofBound <= 1));
    if (options.json === true)
      printJson({ ok, seed: options.seed, cases: cases.map(({ name }) => name), targets: reports.map(describe) });
    else printReports(reports, cases, ok);
    finish(ok ? 0 : 1);
  } finally {
    for (const runnable of runnables) runnable.close();
  }
}

/** The targets asked for, or all that this machine and the model have. */
async function targetsOf(definition: ModelDefinition, asked: readonly Target[] | undefined): Promise<Runnable[]> {
  const targets = asked ?? (['c', 'wgsl', 'js'] as const);
  const runnables: Runnable[] = [];
  for (const target of targets) {
    try {
      if (asked === undefined && target === 'c' && !hasCompiler()) throw new UserError('there is no C compiler');
      runnables.push(await compiled(definition, target, {}));
    } catch (error) {
      if (asked !== undefined || !(error instanceof UserError || error instanceof LimitationError)) throw error;
      note(`target ${target} is left out: ${harmless(error.message)}`);
    }
  }
  return runnables;
}

/** One array for each parameter: a case's inputs, the first values of states and weights. */
function argumentsOf(func: Func, { variables }: Definition, { inputs }: Case): NdArray[] {
  const initial = new Map(variables.map((variable) => [variable.name, variable]));
  let next = 0;
  return func.parameters.map(({ name, role, value: { type } }) =>
    role === 'input' ? inputs[next++]! : ndarray(type.dtype, type.shape, initial.get(name)!.initial()),
  );
}

/** Runs a case from the first values of the states. */
async function compareTarget(
  runnable: Runnable,
  { func, variables }: Definition,
  { name, inputs }: Case,
  judged: readonly Judged[],
  report: TargetReport,
): Promise<void> {
  const updated = new Set(func.results.filter(({ role }) => role === 'update').map((result) => result.name));
  for (const variable of variables)
    if (updated.has(variable.name))
      await runnable.state.set(variable.name, arrayFrom(variable.type, variable.initial()));
  const given = runnable.inputs.map((input, i) => [input.name, arrayFrom(input.type, inputs[i]!.data)]);
  const outputs = await runnable.run(Object.fromEntries(given));
  for (const [i, result] of func.results.entries()) {
    const found = result.role === 'output' ? outputs[result.name]! : await runnable.state.get(result.name);
    compare(report.outputs[i]!, judged[i]!, found, name);
  }
}

const describe = ({ target, outputs }: TargetReport) => ({
  target,
  outputs: outputs.map(({ name, dtype, compared, undecided, maxAbsolute, maxUlp, ofBound, worst }) => ({
    name,
    dtype,
    ok: ofBound <= 1,
    compared,
    undecided,
    max_absolute: maxAbsolute,
    max_ulp: maxUlp,
    // JSON knows no infinity.
    of_bound: Number.isFinite(ofBound) ? ofBound : null,
    worst: worst === null ? null : { ...worst, expected: String(worst.expected), found: String(worst.found) },
  })),
});

function printReports(reports: readonly TargetReport[], cases: readonly Case[], ok: boolean): void {
  const shown = (value: number): string => (value === 0 ? '0' : value.toPrecision(3));
  const rows = reports.flatMap(({ target, outputs }) =>
    outputs.map((output) => [
      target,
      output.name,
      output.dtype,
      String(output.compared),
      shown(output.maxAbsolute),
      output.maxUlp < 1000 ? output.maxUlp.toFixed(1) : output.maxUlp.toExponential(1),
      Number.isFinite(output.ofBound) ? `${(100 * output.ofBound).toFixed(0)} %` : '∞',
      output.worst?.case ?? '',
      output.ofBound <= 1 ? 'ok' : 'WRONG',
    ]),
  );
  print(table(columns, rows));
  print(`\ncases: ${cases.map(({ name }) => name).join(', ')}`);
  const undecided = Math.max(0, ...reports.flatMap(({ outputs }) => outputs.map((output) => output.undecided)));
  if (undecided > 0) print(`not compared: up to ${undecided} elements of an output that rounding decides`);
  for (const { target, outputs } of reports)
    for (const { name, ofBound, worst } of outputs)
      if (ofBound > 1 && worst !== null)
        print(
          `${styled(process.stdout, 'red', 'wrong:')} ${target}, ${harmless(name)}[${worst.element}] in case ${worst.case}: ${worst.expected} expected, ${worst.found} found (bound ${worst.bound.toPrecision(3)})`,
        );
  print(
    ok
      ? styled(process.stdout, 'green', 'all targets agree with the reference')
      : styled(process.stdout, 'red', 'a target is beyond its bound'),
  );
}

const columns = [
  { title: 'target' },
  { title: 'result' },
  { title: 'dtype' },
  { title: 'elements', align: 'right' },
  { title: 'absolute', align: 'right' },
  { title: 'ulp', align: 'right' },
  { title: 'of bound', align: 'right' },
  { title: 'worst case' },
  { title: '' },
] as const;
