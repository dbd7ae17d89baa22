// Every mistake that a graph can show while it is built: the error names the function that was called, what was expected,
// what was given, and this file's own line.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../src/ir/errors.ts';
import {
  type AnyTensor,
  arange,
  avgPool,
  concat,
  constant,
  conv,
  cumsum,
  cumulative,
  expandDims,
  full,
  func,
  gather,
  grad,
  hvp,
  input,
  interpret,
  iota,
  jvp,
  logSoftmax,
  logSumExp,
  maxPool,
  narrow,
  norm,
  oneHot,
  pad,
  reverse,
  scatterAdd,
  slice,
  softmax,
  sort,
  split,
  squeeze,
  stack,
  sumPool,
  takeAlong,
  topk,
  variable,
  vjp,
  where,
  zeros,
} from '../src/lang/index.ts';

// Types refuse most of what follows before it runs, so the operands here have types that say nothing.
const x: AnyTensor = input('x', [2, 3]);
const y: AnyTensor = input('y', [4, 5]);
const v: AnyTensor = input('v', [3]);
const i: AnyTensor = input('i', [2], 'i32');
const truth: AnyTensor = input('truth', [2, 3], 'bool');
const image: AnyTensor = zeros([1, 2, 5]);
const loose = (given: unknown) => given as never;

/** The function called, the call, and what the message says. Each is one line of this file, so that its line is known. */
type Refusal = readonly [callee: string, make: () => unknown, ...says: readonly string[]];

const elementwise: readonly Refusal[] = [
  ['add', () => x.add(y), 'add(x: f32[2,3], y: f32[4,5])', 'shapes that broadcast expected'],
  ['sub', () => x.sub(i), 'sub(x: f32[2,3], i: i32[2])', 'one dtype expected', ".cast('f32')"],
  ['mul', () => i.mul(0.5), 'mul(i: i32[2], 0.5)', 'a number that i32 can hold expected', 'cast'],
  ['maximum', () => x.maximum(y), 'maximum(x: f32[2,3], y: f32[4,5])'],
  ['minimum', () => truth.minimum(truth), 'minimum(', 'a number expected, bool[2,3] given'],
  ['pow', () => x.pow(loose('2')), 'pow(x: f32[2,3], ..)', 'a tensor or a number expected, string given'],
  ['and', () => x.and(x), 'and(x: f32[2,3], x: f32[2,3])', 'an integer or bool expected, f32[2,3] given'],
  ['shl', () => x.shl(1), 'an integer expected, f32[2,3] given'],
  ['exp', () => i.exp(), 'exp(i: i32[2])', 'a float expected, i32[2] given'],
  ['not', () => x.not(), 'not(x: f32[2,3])', 'an integer or bool expected'],
  ['relu', () => truth.relu(), 'relu(', 'a number expected, bool[2,3] given'],
  ['square', () => truth.square(), 'square(truth: bool[2,3]', 'a number expected'],
  ['isNaN', () => i.isNaN(), 'isNaN(i: i32[2])', 'a float expected'],
  ['cast', () => x.cast(loose('f31')), 'a dtype expected (f32, f64,', 'f31 given'],
  ['where', () => where(x as never, x, 0), 'where(x: f32[2,3], ', 'a bool condition expected, f32[2,3] given'],
  ['where', () => where(truth, y, 0), 'where(truth: bool[2,3], y: f32[4,5], f32[])', 'shapes that broadcast'],
  ['where', () => where(truth, 1, 2), 'at least one of the two values must be a tensor'],
  ['where', () => where(truth, arange(3), 0.5), 'a number that i32 can hold expected, 0.5 given'],
];

const reductions: readonly Refusal[] = [
  ['sum', () => x.sum(2), 'sum(x: f32[2,3])', 'axis 2 does not exist: −2 to 1 expected'],
  ['prod', () => x.prod([0, -2]), 'prod(x: f32[2,3])', 'axes [0,-2] name one axis twice'],
  ['max', () => truth.max(), 'max(truth: bool[2,3])', 'a number expected'],
  ['min', () => constant(1).min(loose(0)), 'min(f32[])', 'axis 0 does not exist: there is none'],
  ['all', () => x.all(), 'all(x: f32[2,3])', 'bool expected', 'f32[2,3] given'],
  ['any', () => x.any(0), 'any(x: f32[2,3])', 'bool expected', 'f32[2,3] given'],
  ['mean', () => i.mean(), 'mean(i: i32[2])', 'floats expected; cast first'],
  ['variance', () => i.variance(), 'variance(i: i32[2])', 'floats expected'],
  ['argmax', () => x.argmax(0.5), 'argmax(x: f32[2,3])', 'axis 0.5 does not exist'],
  ['argmin', () => zeros([0]).argmin(0), 'argmin(f32[0])', 'axis 0 of f32[0] is empty'],
  ['norm', () => norm(i), 'norm(i: i32[2])', 'floats expected'],
  ['logSumExp', () => logSumExp(x, 2), 'logSumExp(x: f32[2,3])', 'axis 2 does not exist'],
  ['softmax', () => softmax(i), 'softmax(i: i32[2])', 'floats expected'],
  ['softmax', () => softmax(x, 2), 'softmax(x: f32[2,3])', 'axis 2 does not exist'],
  ['logSoftmax', () => logSoftmax(x, -3), 'logSoftmax(x: f32[2,3])', 'axis -3 does not exist'],
  ['cumsum', () => cumsum(x, 2), 'cumsum(x: f32[2,3])', 'axis 2 does not exist'],
  ['cumulative', () => cumulative(x, 'max', 0, { exclusive: true }), 'an exclusive running max has no first element'],
  ['sort', () => sort(x, 3), 'sort(x: f32[2,3])', 'axis 3 does not exist'],
  ['topk', () => topk(x, 4), 'topk(x: f32[2,3])', 'k between 1 and the last axis', '4 given'],
];

const shapes: readonly Refusal[] = [
  ['reshape', () => x.reshape([4, 2]), 'reshape(x: f32[2,3])', '6 elements do not fit [4,2]'],
  ['reshape', () => x.reshape([-1, 4]), '6 elements do not fit [-1,4]'],
  ['reshape', () => x.reshape([-1, -1]), 'at most one −1 expected, [-1,-1] given'],
  ['reshape', () => x.reshape([-2, -3]), 'dimensions of whole numbers (or one −1) expected, [-2,-3] given'],
  ['reshape', () => x.reshape([1.5, 4]), 'dimensions of whole numbers', '[1.5,4] given'],
  ['flatten', () => x.flatten(3), 'flatten(x: f32[2,3])', 'axis 3 does not exist'],
  ['flatten', () => x.flatten(-3), 'flatten(x: f32[2,3])', 'axis -3 does not exist'],
  ['transpose', () => x.transpose([0]), 'transpose(x: f32[2,3])', 'one for each of 2 axes expected'],
  ['transpose', () => x.transpose([0, 0]), 'axes [0,0] name one axis twice'],
  ['transpose', () => x.transpose([0, 2]), 'axis 2 does not exist'],
  ['broadcastTo', () => x.broadcastTo([3, 3]), 'broadcastTo(x: f32[2,3])', '[3,3]'],
  ['broadcastTo', () => constant(1).broadcastTo([-1]), 'dimensions of whole numbers expected, [-1] given'],
  ['expandDims', () => expandDims(x, 3), 'expandDims(x: f32[2,3])', 'axis 3 does not exist: −3 to 2 expected'],
  ['squeeze', () => squeeze(x, 0), 'squeeze(x: f32[2,3])', 'axis 0 of one element expected, it has 2'],
  ['narrow', () => narrow(x, 1, 2, 2), 'narrow(x: f32[2,3])', 'axis 1', 'start 2, limit 4'],
  ['narrow', () => narrow(x, 1, -1, 2), 'narrow(x: f32[2,3])', 'start -1'],
  ['slice', () => slice(x, [0], [1]), 'slice(x: f32[2,3])', 'starts has 1 entries, one for each of 2 axes expected'],
  ['slice', () => slice(x, [0, 0], [2, 3], [0, 1]), 'slice(x: f32[2,3])', 'stride 0 given'],
  ['split', () => split(x, 2, 1), 'split(x: f32[2,3])', 'axis 1 of 3 elements cannot be cut into 2 equal parts'],
  ['split', () => split(x, 1.5, 1), 'cannot be cut into 1.5 equal parts'],
  ['split', () => split(x, -3, 1), 'cannot be cut into -3 equal parts'],
  ['pad', () => pad(x, [[0, 1]]), 'pad(x: f32[2,3])', 'one for each of 2 axes expected'],
  ['reverse', () => reverse(x, 2), 'reverse(x: f32[2,3])', 'axis 2 does not exist'],
  ['concat', () => concat([x, y], 0), 'concat(x: f32[2,3], y: f32[4,5])', 'differ on axis 0 only expected'],
  ['concat', () => concat([x, zeros([1, 3], 'i32')], 0), 'concat(x: f32[2,3], i32[1,3])'],
  ['concat', () => concat([x, x], 2), 'concat(x: f32[2,3])', 'axis 2 does not exist'],
  ['concat', () => concat([] as unknown as [AnyTensor], 0), 'concat: at least one tensor expected, none given'],
  ['stack', () => stack([x, y]), 'stack(x: f32[2,3], y: f32[4,5])', 'tensors of one shape and dtype expected'],
  ['stack', () => stack([]), 'stack: at least one tensor expected, none given'],
  ['stack', () => stack([x, x], 3), 'stack(x: f32[2,3])', 'axis 3 does not exist'],
];

const indexing: readonly Refusal[] = [
  ['gather', () => gather(x, v), 'gather(x: f32[2,3], v: f32[3])', 'integer indices expected, f32[3] given'],
  ['gather', () => gather(x, i, 2), 'gather(x: f32[2,3])', 'axis 2 does not exist'],
  ['takeAlong', () => takeAlong(x, i, 1), 'takeAlong(x: f32[2,3], i: i32[2])', 'differ on axis 1 only expected'],
  ['takeAlong', () => takeAlong(x, x, 1), 'takeAlong(x: f32[2,3], x: f32[2,3])', 'integer indices expected'],
  ['scatterAdd', () => scatterAdd(x, i, y), 'scatterAdd(x: f32[2,3], ', 'updates f32[2,3] expected, f32[4,5] given'],
  ['oneHot', () => oneHot(v, 3), 'oneHot(v: f32[3])', 'integer indices expected'],
  ['oneHot', () => oneHot(i, -3), 'whole numbers expected, [-3] given'],
];

const contractions: readonly Refusal[] = [
  ['matmul', () => x.matmul(y), 'matmul(x: f32[2,3], y: f32[4,5])', 'the last axis of the first (3)', '(4)'],
  ['matmul', () => x.matmul(constant(1)), 'matmul(x: f32[2,3], f32[])', 'at least one axis'],
  ['matmul', () => x.matmul(zeros([3, 2], 'i32')), 'matmul(x: f32[2,3], i32[3,2])', 'one dtype expected'],
  ['matmul', () => zeros([2, 2, 3]).matmul(loose(zeros([3, 3, 4]))), 'batch axes that broadcast', '[2] and [3] given'],
  ['matmul', () => x.matmul(loose(3)), 'a tensor expected, number given'],
  ['conv', () => conv(image, zeros([4, 3, 2])), 'conv(f32[1,2,5], f32[4,3,2])', '2 input channels', 'kernels for 3'],
  ['conv', () => conv(x, x), 'conv(x: f32[2,3], x: f32[2,3])', 'images [N, channels, spatial..]'],
  ['conv', () => conv(image, zeros([3, 1, 2]), { groups: 2 }), 'conv(f32[1,2,5], f32[3,1,2])', 'in 2 groups'],
  ['conv', () => conv(image, zeros([4, 2, 6])), 'the kernel spans 6 elements', 'the padded image has 5'],
  ['conv', () => conv(image, zeros([4, 2, 2]), { strides: 0 }), 'strides and dilations of at least 1 expected'],
  ['conv', () => conv(image, zeros([4, 2, 2]), { strides: [1, 1] }), 'strides', '1 axes expected, [1,1] given'],
  ['conv', () => conv(image, zeros([4, 2, 2]), { padding: loose('full') }), "'valid', 'same'", "'full' given"],
  ['conv', () => conv(image, zeros([4, 2, 2], 'i32')), 'one dtype expected, f32 and i32 given'],
  ['maxPool', () => maxPool(x, 2), 'maxPool(x: f32[2,3])', '[N, channels, spatial..]'],
  ['maxPool', () => maxPool(image, 6), 'maxPool(f32[1,2,5])', 'the window spans 6 elements of axis 2', 'has 5'],
  ['sumPool', () => sumPool(image, 0), 'sumPool(f32[1,2,5])', 'of at least 1 expected'],
  ['avgPool', () => avgPool(zeros([1, 1, 4], 'i32'), 2), 'avgPool(i32[1,1,4])', 'floats expected'],
];

const derivatives: readonly Refusal[] = [
  ['grad', () => grad(x.mul(2), x), 'grad(f32[2,3])', 'a float scalar expected', 'sum() or mean()'],
  ['grad', () => grad(x, x), 'grad(x: f32[2,3])', 'a float scalar expected'],
  ['grad', () => grad(i.sum(), x), 'grad(i32[])', 'a float scalar expected'],
  ['grad', () => grad(x.sum(), i), 'grad(f32[], i: i32[2])', 'a gradient by floats only expected'],
  ['vjp', () => vjp([x], [v], [x]), 'vjp: f32[2,3] expected beside x: f32[2,3], f32[3] given'],
  ['vjp', () => vjp([x], [], [x]), 'vjp: 1 tensors expected, 0 given'],
  ['jvp', () => jvp([x], [x], [v]), 'jvp: f32[2,3] expected beside x: f32[2,3], f32[3] given'],
  ['hvp', () => hvp(x.sum(), x, v), 'hvp: f32[2,3] expected beside x: f32[2,3], f32[3] given'],
];

const w = variable('w', [2]);
const leaves: readonly Refusal[] = [
  ['constant', () => constant([[1, 2], [3]]), 'constant: numbers in rows of one length expected', '2 and 1 elements'],
  ['constant', () => constant([1, [2, 3]]), 'rows of one length expected, a row given'],
  ['constant', () => constant([[1], [2], [3, 4, 5]].slice(1)), 'rows of one length expected, 1 and 3 elements given'],
  ['constant', () => constant([1, 2], { shape: [3] }), 'constant: 3 elements expected for [3], 2 given'],
  ['constant', () => constant([1.5], { dtype: 'i32' }), 'a number that i32 can hold expected, 1.5 given'],
  ['constant', () => constant([300], { dtype: 'u8' }), 'a number that u8 can hold expected, 300 given'],
  ['constant', () => constant(loose(['1'])), 'numbers in rows of one length expected, string given'],
  ['full', () => full([-1], 0), 'full: dimensions of whole numbers expected, [-1] given'],
  ['full', () => full([1], 0.5, 'u8'), 'full: a number that u8 can hold expected, 0.5 given'],
  ['arange', () => arange(1.5), 'arange: dimensions of whole numbers expected, [1.5] given'],
  ['iota', () => iota([2], 1), 'axis 1 does not exist'],
  ['input', () => input('z', [2, -1]), 'input z: dimensions of whole numbers expected, [2,-1] given'],
  ['input', () => input('z', [1], loose('f33')), 'input z: a dtype expected', 'f33 given'],
  ['variable', () => variable('z', [-1]), 'variable z: dimensions of whole numbers expected, [-1] given'],
  ['variable', () => variable('z', [2], { initial: [1, 2, 3] }), 'z is f32[2]: 2 first elements expected, 3 given'],
  ['variable', () => variable('z', [2], { initial: () => [1] }).initial(), '2 first elements expected, 1 given'],
];

const functions: readonly Refusal[] = [
  ['func', () => func({ outputs: { x } }), 'input x is used by the outputs but not listed in inputs'],
  ['func', () => func({ name: 'step' }), 'func step: at least one output or update expected'],
  ['func', () => func({ inputs: [input('x', [1]), input('x', [2])], outputs: { x } }), 'input x is given twice'],
  ['func', () => func({ updates: [[w, v]] }), 'the update of w is f32[3], the variable is f32[2]'],
  ['func', () => func({ updates: [w, w].map((z) => [z, z] as const) }), 'variable w is updated twice'],
  ['func', () => func({ outputs: { z: w.add(variable('w', [2])) } }), 'two variables are named w'],
  ['func', () => func({ updates: [[loose(v), v]] }), 'pairs of a variable and its new value; v: f32[3] is no variable'],
  ['func', () => func({ inputs: [loose(w)], outputs: { w } }), 'inputs made by input() expected, w: f32[2] given'],
  ['func', () => func({ inputs: [input('w', [2])], outputs: { w } }), 'an input and a variable are both named w'],
  ['func', () => func({ outputs: { z: loose(3) } }), 'a tensor expected as output z, number given'],
  ['interpret', () => interpret({ x }), 'interpret: input x is missing'],
  ['interpret', () => interpret({ x }, { z: 1 }), 'input "z" does not exist; the expressions read x'],
  ['interpret', () => interpret({ x }, { x: [1] }), 'input x is f32[2,3]: 6 elements expected, 1 given'],
];

const lines = readFileSync(new URL(import.meta.url), 'utf8').split('\n');

describe.each([
  ['elementwise operations', elementwise],
  ['reductions', reductions],
  ['shapes', shapes],
  ['indexing', indexing],
  ['contractions and windows', contractions],
  ['derivatives', derivatives],
  ['leaves', leaves],
  ['functions', functions],
])('%s refuse', (_group, refusals) => {
  it.each(refusals.map((refusal) => [`${refusal[0]}: ${refusal.at(-1)}`, refusal] as const))(
    '%s',
    (_title, refusal) => {
      const [callee, make, ...says] = refusal;
      let found: unknown;
      try {
        make();
      } catch (error) {
        found = error;
      }
      expect(found).toBeInstanceOf(UserError);
      const { message } = found as UserError;
      for (const part of says) expect(message).toContain(part);
      const line = Number(/\n {2}at test\/lang-errors\.test\.ts:(\d+):\d+$/.exec(message)?.[1]);
      expect(lines[line - 1], message).toContain(`${callee}(`);
      expect(lines[line - 1], message).toContain(says.at(-1)!);
    },
  );
});
