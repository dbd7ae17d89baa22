// The standard's own node tests on every target. Nothing may fail; what is not supported is printed with the reason. docs/onnx.md has
// the table, which scripts/onnx-table.ts writes.

import { describe, expect, it } from 'vitest';
import { importCases, judge, type TargetName, type Verdict } from './helpers/onnx-judge.ts';
import { nodeCases } from './helpers/onnx-node.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const cases = nodeCases();
const { imported, refused, failed } = importCases(cases);
const inScope = cases.length - refused.filter(({ outOfScope }) => outOfScope).length;
const device = await testDevice();

/** Cases that pass on each target, of those with numbers and known shapes. */
const leastPassed = 0.95 * inScope;

function report(target: TargetName, verdicts: readonly Verdict[]): void {
  const passed = verdicts.filter(({ outcome }) => outcome === 'passed').length;
  const reasons = new Map<string, string[]>();
  for (const { name, reason } of [...refused, ...verdicts.filter(({ outcome }) => outcome === 'not supported')])
    reasons.set(reason, [...(reasons.get(reason) ?? []), name]);
  const lines = [...reasons].map(
    ([reason, names]) => `    ${names.length} ${reason} (${names[0]}${names.length > 1 ? ', ..' : ''})`,
  );
  const unsupported = [...reasons.values()].reduce((sum, names) => sum + names.length, 0);
  process.stdout.write(
    `${target}: ${passed} passed, ${unsupported} not supported, ${verdicts.length + refused.length - passed - unsupported} failed\n` +
      (process.env.ASHLAR_ONNX_REASONS === undefined ? '' : `${lines.join('\n')}\n`),
  );
}

describe('the node tests of ONNX', () => {
  it('import, or say what is not supported', () => {
    expect(cases.length).toBeGreaterThan(100);
    expect(failed).toEqual([]);
  });

  it.each(['reference', 'c', 'js'] as const)('give on %s what the standard demands', async (target) => {
    const verdicts = await judge(imported, target, null);
    report(target, verdicts);
    expect(verdicts.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(verdicts.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(leastPassed);
  });
});

describe.skipIf(typeof device === 'string')(titleOf('the node tests of ONNX on WebGPU', device), () => {
  it('give what the standard demands', async () => {
    const verdicts = await judge(imported, 'wgsl', device as Exclude<typeof device, string>);
    report('wgsl', verdicts);
    expect(verdicts.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(verdicts.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(leastPassed);
  });
});
