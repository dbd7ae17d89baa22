// Attention in several heads against itself: read at once, token by token with a cache, and a piece at a time.

import { type AnyTensor, func, input, nn, UserError, variable } from 'ashlar';
import { describe, expect, test } from 'vitest';
import { leavesOf } from '../src/ir/steps.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { compile } from '../src/runtime/compile.ts';
import { StateStore } from '../src/runtime/state.ts';
import { expectClose } from './helpers/close.ts';

const [width, heads, context] = [48, 3, 32];

function attention() {
  nn.resetNames();
  nn.setSeed(3);
  return nn.multiHeadAttention(width, heads, { causal: true });
}

/** Tokens at places from one that is given on; keys and values are states. */
function stepping(layer: nn.MultiHeadAttention, tokens: number) {
  const x = input('x', [tokens, width] as number[]);
  const place = input('place', [], 'i32');
  const [keys, values] = ['keys', 'values'].map((name) =>
    variable(name, [heads, context, width / heads] as number[], { trainable: false }),
  );
  const { rows, cache } = layer.step(x, { keys: keys as never, values: values as never }, place as AnyTensor);
  const updates = [[keys!, cache.keys] as const, [values!, cache.values] as const];
  return func({ inputs: [x, place], outputs: { rows }, updates });
}

const text = Float32Array.from({ length: context * width }, (_, i) => Math.sin(i * 0.7) + ((i * 5) % 7) / 7);

describe('attention with a cache', () => {
  for (const target of ['c', 'js'] as const)
    test.each([1, 4])(`of %i tokens at a time gives the rows of a text read at once on ${target}`, async (tokens) => {
      const layer = attention();
      const state = new StateStore();
      const x = input('x', [context, width]);
      const whole = await compile(func({ inputs: [x], outputs: { rows: layer(x) as AnyTensor } }), { target, state });
      const step = await compile(stepping(layer, tokens), { target, state });
      const { rows } = whole({ x: text }) as { rows: Float32Array };
      // What an earlier text left behind is written over, and not read before.
      state.set('keys', new Float32Array(context * width).fill(Number.NaN));
      state.set('values', new Float32Array(context * width).fill(Number.NaN));
      for (let place = 0; place < context; place += tokens) {
        const [from, to] = [place * width, (place + tokens) * width];
        const found = step({ x: text.slice(from, to), place: Int32Array.of(place) }) as { rows: Float32Array };
        expectClose(found.rows, rows.subarray(from, to), 1e-5);
      }
    });

  test('copies no cache: states change where they are', () => {
    const program = compileToProgram(stepping(attention(), 1).func);
    const cells = context * width;
    const buffers = leavesOf(program.steps).flatMap(({ args }) => args);
    expect(buffers.filter(({ type, storage }) => storage === 'arena' && type.shape.join() === `${cells}`)).toEqual([]);
    expect(program.arenaBytes).toBeLessThan(4 * cells);
  });

  test('sees all tokens where it is not causal', async () => {
    nn.resetNames();
    const layer = nn.multiHeadAttention(width, heads);
    const x = input('x', [context, width]);
    const run = await compile(func({ inputs: [x], outputs: { rows: layer(x) as AnyTensor } }), { target: 'js' });
    const before = (run({ x: text }) as { rows: Float32Array }).rows.slice(0, width);
    const changed = text.slice();
    changed.fill(2, (context - 1) * width);
    expect((run({ x: changed }) as { rows: Float32Array }).rows.slice(0, width)).not.toEqual(before);
  });

  test('needs heads that divide the width, and tokens as rows', () => {
    expect(() => nn.multiHeadAttention(48, 5)).toThrow(UserError);
    expect(() => nn.multiHeadAttention(48, 5)).toThrow('a width of 48 cannot be cut into 5 heads');
    expect(() => attention()(input('x', [2, context, width]) as AnyTensor)).toThrow('tokens [tokens, 48] expected');
  });
});
