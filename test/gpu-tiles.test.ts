// Inner loops of contractions on a GPU, counted: vectors from shared memory, vectors from global memory and multiply-adds of
// one invocation, and the banks that neighbours meet. No clock is needed, and no card.

import { describe, expect, it } from 'vitest';
import { gridOf } from '../src/codegen/wgsl/statements.ts';
import type { Atom, Axis, IndexExpr } from '../src/ir/index-expr.ts';
import type { Expr, Kernel, LoadExpr, Local, Stmt } from '../src/ir/kernel.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { exprsOf, walkExpr, walkStmts } from '../src/passes/expr-rewrite.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu, tileSchedule } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';

type Loop = Extract<Stmt, { kind: 'loop' }>;

function kernelOf(text: string): Kernel {
  const { steps } = compileToProgram(parseFunc(text), { machine: gpuMachine(defaultGpu) });
  expect(steps).toHaveLength(1);
  return leavesOf(steps)[0]!.kernel;
}

function loadsIn(body: readonly Stmt[]): LoadExpr[] {
  const loads: LoadExpr[] = [];
  walkStmts(body, (stmt) => {
    for (const expr of exprsOf(stmt))
      walkExpr(expr, (inner) => {
        if (inner.kind === 'load') loads.push(inner);
      });
  });
  return loads;
}

/** The loop that multiplies, whose iterations are four summed elements. */
function multiplying(kernel: Kernel): Loop {
  let found: Loop | null = null;
  walkStmts(gridOf(kernel).body, (stmt) => {
    if (stmt.kind === 'loop' && stmt.body.some(({ kind }) => kind === 'accumulate')) found ??= stmt;
  });
  return found!;
}

/** What one invocation does for four summed elements, and what it reads from global memory for a block of sixteen. */
function countsOf(kernel: Kernel): { shared: number; multiplyAdds: number; global: number } {
  const loop = multiplying(kernel);
  const shared = loadsIn(loop.body).filter(({ buffer }) => buffer.space === 'shared');
  expect(new Set(shared.map(({ lanes }) => lanes))).toEqual(new Set([4]));
  const sums = loop.body.flatMap((stmt) => (stmt.kind === 'accumulate' ? [stmt.local.lanes] : []));
  let block: readonly Stmt[] = [];
  walkStmts(gridOf(kernel).body, (stmt) => {
    const inside = (body: readonly Stmt[]): boolean =>
      body.some((next) => next === loop || (next.kind === 'if' && inside(next.then)));
    if (stmt.kind === 'loop' && inside(stmt.body)) block = stmt.body;
  });
  const global = loadsIn(block).filter(({ buffer }) => buffer.space === 'global');
  return { shared: shared.length, multiplyAdds: sums.reduce((a, b) => a + b, 0), global: global.length };
}

/** An index where axes have values, names of indices included. */
function numberAt(index: IndexExpr, axes: ReadonlyMap<Axis, number>, names: ReadonlyMap<Local, Expr>): number {
  const atom = (next: Atom): number => {
    if (next.kind === 'axis') return axes.get(next)!;
    if (next.kind === 'quotient') return Math.floor(numberAt(next.value, axes, names) / next.by);
    if (next.kind === 'remainder') return numberAt(next.value, axes, names) % next.by;
    const expr = next.expr.kind === 'local' ? names.get(next.expr.local) : next.expr;
    if (expr?.kind !== 'index') throw new Error('an index that depends on data');
    return numberAt(expr.value, axes, names);
  };
  return index.terms.reduce((sum, { atom: next, coefficient }) => sum + coefficient * atom(next), index.constant);
}

const product = (m: number, n: number, k: number, turned: readonly ['x' | '', 'y' | ''] = ['', '']): string => {
  const x = turned[0] === 'x' ? [k, m] : [m, k];
  const y = turned[1] === 'y' ? [n, k] : [k, n];
  return `func @f(%x: f32[${x}], %y: f32[${y}]) {
    %0 = dot(%x, %y) {contract=[[${x.indexOf(k)}],[${y.indexOf(k)}]], batch=[[],[]]}
    return z = %0
  }`;
};

describe('tiles of contractions on a GPU', () => {
  it.each([
    ['as they are', ['', '']],
    ['with the left operand transposed', ['x', '']],
    ['with the right operand transposed', ['', 'y']],
    ['with both transposed', ['x', 'y']],
  ] as const)(
    'large matrices %s: 16 vectors from shared memory and one from global memory for 256 multiply-adds',
    (_what, turned) => {
      const counts = countsOf(kernelOf(product(4096, 2048, 1024, turned)));
      expect(counts).toEqual({ shared: 16, multiplyAdds: 256, global: 4 });
    },
  );

  it('a middling one: 12 vectors for 128 multiply-adds, more workgroups', () => {
    expect(countsOf(kernelOf(product(1024, 1024, 512)))).toEqual({ shared: 12, multiplyAdds: 128, global: 4 });
  });

  it('what is read into a tile is a vector wherever sizes are multiples of four, else its elements', () => {
    const whole = loadsIn(gridOf(kernelOf(product(256, 256, 256))).body).filter(
      ({ buffer }) => buffer.space === 'global',
    );
    expect(new Set(whole.map(({ lanes }) => lanes))).toEqual(new Set([4]));
    const ragged = loadsIn(gridOf(kernelOf(product(256, 255, 257))).body).filter(
      ({ buffer }) => buffer.space === 'global',
    );
    expect(new Set(ragged.map(({ lanes }) => lanes))).toEqual(new Set([1]));
  });

  it('a convolution between layers with channels last reads its image in vectors', () => {
    const attrs = 'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1';
    const program = compileToProgram(
      parseFunc(`func @f(%x: f32[1,16,28,28], %w: f32[64,16,3,3], %u: f32[64,64,3,3]) {
        %0 = conv(%x, %w) {${attrs}}
        %1 = conv(%0, %u) {${attrs}}
        return y = %1
      }`),
      { machine: gpuMachine(defaultGpu) },
    );
    const { kernel, args } = leavesOf(program.steps).at(-1)!;
    const image = kernel.parameters[args.findIndex(({ storage }) => storage === 'arena')]!.buffer;
    const loads = loadsIn(gridOf(kernel).body).filter(({ buffer }) => buffer === image);
    expect(new Set(loads.map(({ lanes }) => lanes))).toEqual(new Set([4]));
  });

  it('the next block is read while one is multiplied only where few workgroups leave a processor nothing else to do', () => {
    expect(tileSchedule(1, 4096, 4096, 4096, defaultGpu).stages).toBe(1);
    expect(tileSchedule(1, 512, 512, 256, defaultGpu).stages).toBe(2);
    for (const size of [32, 128, 512, 1024, 4096]) {
      const { rows, columns, inner, stages } = tileSchedule(1, size, size, size, defaultGpu);
      expect((rows + columns) * inner * stages * 4).toBeLessThanOrEqual(defaultGpu.sharedBytes);
    }
  });

  it.each([
    ['as they are', ['', '']],
    ['transposed', ['x', 'y']],
  ] as const)('eight neighbours read shared memory without meeting in a bank: operands %s', (_what, turned) => {
    const kernel = kernelOf(product(4096, 2048, 1024, turned));
    const loop = multiplying(kernel);
    const { lane, body } = gridOf(kernel);
    const names = new Map(body.flatMap((stmt) => (stmt.kind === 'let' ? [[stmt.local, stmt.value]] : [])));
    for (const { offset } of loadsIn(loop.body).filter(({ buffer }) => buffer.space === 'shared')) {
      const at = (invocation: number, step: number): number =>
        numberAt(
          offset,
          new Map([
            [lane, invocation],
            [loop.axis, step],
          ]),
          names,
        );
      for (let first = 0; first < lane.extent; first += 8)
        for (let step = 0; step < 4; step++) {
          const starts = new Set(Array.from({ length: 8 }, (_, i) => at(first + i, step)));
          // 32 banks of a word each: eight different vectors fill them once.
          expect(new Set([...starts].map((start) => (start / 4) % 8)).size).toBe(starts.size);
        }
    }
  });
});

describe('thin products on a GPU', () => {
  /** Pieces of 32 bytes that 32 neighbours read of the matrix at the same time. */
  function piecesRead(columns: number, inner: number, turned: 'y' | ''): number {
    const kernel = kernelOf(product(1, columns, inner, ['', turned]));
    const { group, lane, body } = gridOf(kernel);
    const names = new Map<Local, Expr>();
    let offset: IndexExpr | null = null;
    const axes = new Map([[group, 0]]);
    walkStmts(body, (stmt) => {
      if (stmt.kind === 'let') names.set(stmt.local, stmt.value);
      if (stmt.kind === 'loop') axes.set(stmt.axis, 0);
    });
    for (const load of loadsIn(body)) if (load.buffer.size === columns * inner) offset = load.offset;
    const places = Array.from({ length: 32 }, (_, i) => numberAt(offset!, new Map([...axes, [lane, i]]), names));
    return new Set(places.map((place) => Math.floor(place / 8))).size;
  }

  it.each([
    [4096, 4096, 4],
    [1024, 784, 4],
    [512, 784, 4],
    [128, 3136, 8],
    [12, 512, 8],
  ])('with %i results: neighbours read matrices of either order in runs', (columns, inner, most) => {
    for (const turned of ['', 'y'] as const) expect(piecesRead(columns, inner, turned)).toBeLessThanOrEqual(most);
  });
});
