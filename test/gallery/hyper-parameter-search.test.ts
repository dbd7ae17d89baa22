// Four searches over the digits network in worker processes: what each finds, and that both targets give trials the same values.

import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { bestSoFar, hyperParameterSearches } from '../../examples/hyper-parameter-search.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();
const execArgv = ['--import', createRequire(import.meta.url).resolve('tsx')];
const trials = 16;
const searches = await hyperParameterSearches({ target: 'c', trials, seeds: [1], execArgv });

describe('hyper-parameter search', () => {
  it('every strategy ran all of its trials, and none failed', () => {
    expect(Object.keys(searches)).toEqual(['grid', 'random', 'evolutionary', 'Bayesian']);
    for (const [run] of Object.values(searches)) {
      expect(run!.length).toBe(trials);
      expect(run!.flatMap(({ failure }) => failure ?? [])).toEqual([]);
    }
  });

  it('finds a rate that trains, the Bayesian search the best or nearly so', () => {
    const reached = (name: string) => bestSoFar(searches[name]!).at(-1)!;
    for (const name of ['random', 'evolutionary', 'Bayesian']) expect(reached(name), name).toBeLessThan(0.8);
    expect(reached('Bayesian')).toBeLessThan(1.05 * reached('random'));
    expect(reached('Bayesian')).toBeLessThan(reached('grid'));
  });

  it.skipIf(typeof device === 'string')(titleOf('WebGPU gives trials the same values', device), async () => {
    const few = await hyperParameterSearches({ target: 'wgsl', trials: 1, seeds: [1], only: ['random'], execArgv });
    for (const [trial, { value, parameters }] of few.random![0]!.entries()) {
      const inC = searches.random![0]![trial]!;
      expect(parameters).toEqual(inC.parameters);
      expect(Math.abs(value! - inC.value!)).toBeLessThan(1e-3 * inC.value!);
    }
  });
});
