// docs/tensors.md names all that tensors can do, and nothing else.

import { readFileSync } from 'node:fs';
import { nn, Tensor } from 'ashlar';
import { expect, it } from 'vitest';
import * as lang from '../src/lang/index.ts';

const page = readFileSync(new URL('../docs/tensors.md', import.meta.url), 'utf8');
const [methods, functions, layers] = ['## Methods', '## Functions', '## Layers'].map((title) => {
  const [, section = ''] = page.split(title);
  return section.split('\n## ')[0]!;
}) as [string, string, string];
const named = (text: string): Set<string> => new Set([...text.matchAll(/`([A-Za-z][\w]*)/g)].map(([, name]) => name!));

it('has every method, function and layer', () => {
  const missing = (section: string, names: readonly string[]) => names.filter((name) => !named(section).has(name));
  const ofTensors = Object.getOwnPropertyNames(Tensor.prototype).filter(
    (name) => !['constructor', 'rank'].includes(name),
  );
  expect(missing(methods, ofTensors)).toEqual([]);
  // Classes are no functions of tensors; where lines are captured, and how, is for those who debug.
  const others = new Set(['Tensor', 'Variable', 'captureSources']);
  expect(
    missing(
      page,
      Object.keys(lang).filter((name) => !others.has(name)),
    ),
  ).toEqual([]);
  expect(missing(layers, Object.keys(nn))).toEqual([]);
});

it('has no other', () => {
  const known = new Set([...Object.getOwnPropertyNames(Tensor.prototype), ...Object.keys(lang)]);
  expect([...named(functions)].filter((name) => !known.has(name))).toEqual([]);
  expect([...named(layers)].filter((name) => name !== 'nn' && name !== 'lr' && !(name in nn))).toEqual([]);
});
