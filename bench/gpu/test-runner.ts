// As much of vitest as the walks of operations use, so that the same tests run where vitest is not installed: tests are
// collected when their files are imported, and run one after another.

import { format, inspect, isDeepStrictEqual } from 'node:util';

type Body = (...values: never[]) => unknown;

const collected: { readonly title: string; readonly body: () => unknown }[] = [];
const ends: (() => unknown)[] = [];
const suites: string[] = [];

export const afterAll = (body: () => unknown): void => void ends.push(body);

export function describe(title: string, body: () => void): void {
  suites.push(title);
  body();
  suites.pop();
}
describe.skipIf = (skipped: boolean) => (title: string, body: () => void) => {
  if (skipped) throw new Error(title);
  describe(title, body);
};

export function it(title: string, body: () => unknown): void {
  collected.push({ title: [...suites, title].join(' > '), body });
}
it.each =
  (cases: readonly unknown[]) =>
  (title: string, body: Body): void => {
    for (const values of cases) {
      const list = (Array.isArray(values) ? values : [values]) as never[];
      const printed = (title.match(/%s/g) ?? []).length;
      it(format(title, ...list.slice(0, printed)), () => body(...list));
    }
  };

export function expect(found: unknown, message = 'value') {
  const hold = (holds: boolean, relation: string, wanted: unknown): void => {
    if (!holds) throw new Error(`${message}: ${inspect(found)} ${relation} ${inspect(wanted)}`);
  };
  return {
    toBe: (wanted: unknown) => hold(Object.is(found, wanted), 'is not', wanted),
    toEqual: (wanted: unknown) => hold(isDeepStrictEqual(found, wanted), 'does not equal', wanted),
    toBeTruthy: () => hold(Boolean(found), 'is not', true),
    toBeGreaterThan: (least: number) => hold((found as number) > least, 'is not above', least),
    toBeLessThan: (most: number) => hold((found as number) < most, 'is not below', most),
  };
}
expect.fail = (message: string): never => {
  throw new Error(message);
};

export interface TestFigures {
  readonly passed: number;
  readonly total: number;
  readonly failures: readonly { readonly title: string; readonly message: string }[];
}

/** Runs what was collected; tells after each test how things stand. */
export async function runCollected(told: (figures: TestFigures) => void): Promise<void> {
  let passed = 0;
  const failures: { title: string; message: string }[] = [];
  for (const { title, body } of collected) {
    try {
      await body();
      passed++;
    } catch (error) {
      failures.push({ title, message: (error as Error).message.slice(0, 400) });
    }
    told({ passed, total: collected.length, failures });
  }
  for (const end of ends) await end();
}
