// Writes the tables of docs/onnx.md: what becomes of the standard's node tests on each target, by operator, and why cases are not
// supported. $ASHLAR_ONNX_NODE names another folder of cases.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeModel } from '../src/onnx/decode.ts';
import { openDevice } from '../src/runtime/webgpu/device.ts';
import { nodeGpu } from '../src/runtime/webgpu/node-gpu.ts';
import { importCases, judge, type TargetName, type Verdict } from '../test/helpers/onnx-judge.ts';
import { type NodeCase, nodeCases } from '../test/helpers/onnx-node.ts';

const targets: readonly TargetName[] = ['reference', 'c', 'js', 'wgsl'];
const page = join(dirname(fileURLToPath(import.meta.url)), '../docs/onnx.md');

const cases = nodeCases();
const { imported, refused, failed } = importCases(cases);
if (failed.length > 0)
  throw new Error(`${failed.length} cases cannot be imported: ${failed[0]!.name}: ${failed[0]!.reason}`);
const device = await openDevice(await nodeGpu());
const verdicts = new Map<TargetName, ReadonlyMap<string, Verdict>>();
for (const target of targets) {
  const list = await judge(imported, target, device);
  verdicts.set(target, new Map(list.map((verdict) => [verdict.name, verdict])));
}

function groupedBy<T>(list: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

/** The operator of a case: that of its one node; expansions have several. */
function operatorOf({ files }: NodeCase): string {
  const nodes = decodeModel(files.get('model.onnx')!).graph!.nodes;
  return nodes.length === 1 ? (nodes[0]!.operator ?? '') : 'expanded functions';
}

const passes = (target: TargetName, name: string): boolean => verdicts.get(target)!.get(name)?.outcome === 'passed';
const count = (list: readonly NodeCase[], target: TargetName): number =>
  list.filter(({ name }) => passes(target, name)).length;

function totals(): string {
  const inScope = cases.length - refused.filter(({ outOfScope }) => outOfScope).length;
  const rows = targets.map((target) => {
    const all = [...verdicts.get(target)!.values()];
    const passed = all.filter(({ outcome }) => outcome === 'passed').length;
    const broken = all.filter(({ outcome }) => outcome === 'failed').length;
    return `| ${target} | ${passed} | ${cases.length - passed - broken} | ${broken} | ${((100 * passed) / inScope).toFixed(1)} % |`;
  });
  return [
    '| target | passed | not supported | failed | passed of those in scope |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function byOperator(): string {
  const groups = groupedBy(cases, operatorOf);
  const rows = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([operator, list]) =>
        `| ${operator} | ${list.length} | ${targets.map((target) => count(list, target)).join(' | ')} |`,
    );
  return [
    `| operator | cases | ${targets.join(' | ')} |`,
    `| --- | --- |${' --- |'.repeat(targets.length)}`,
    ...rows,
  ].join('\n');
}

function reasons(): string {
  const everywhere = refused.map(({ name, reason }) => ({ name, where: 'all targets', reason }));
  const onTargets = targets.flatMap((target) =>
    [...verdicts.get(target)!.values()]
      .filter(({ outcome }) => outcome === 'not supported')
      .map(({ name, reason }) => ({
        name,
        where: target,
        reason: reason.replace(/input "[^"]*" is|; cast to .*/g, '').trim(),
      })),
  );
  const groups = groupedBy(
    [...everywhere, ...onTargets],
    ({ where, reason }) => `| ${where} | ${reason.replaceAll('|', '\\|')}`,
  );
  const rows = [...groups].map(
    ([row, list]) => `${row} | ${list.length} | ${list[0]!.name}${list.length > 1 ? ', ..' : ''} |`,
  );
  return ['| where | not supported because | cases | such as |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

const [before, rest] = readFileSync(page, 'utf8').split('<!-- table -->');
const after = rest!.split('<!-- end of table -->')[1]!;
const tables = [totals(), byOperator(), reasons()].join('\n\n');
writeFileSync(page, `${before}<!-- table -->\n${tables}\n<!-- end of table -->${after}`);
process.exit(0);
