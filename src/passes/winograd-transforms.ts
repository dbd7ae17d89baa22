// The transforms of Winograd's minimal filtering by Toom and Cook: a convolution of m results with r taps is the product of
// two polynomials, known at m + r − 1 points (A. Lavin, S. Gray, CVPR 2016; B. Barabasz et al., ACM TOMS 46(4), 2020).

import { apply, type Expr, type Local, literal, type Stmt } from '../ir/kernel.ts';

/** Rows of coefficients. */
export type Matrix = readonly (readonly number[])[];

/** F(outputs, taps) along one axis: result · ((weights · taps) ⊙ (image · cells)). */
export interface Transforms {
  readonly outputs: number;
  readonly taps: number;
  /** Cells of a tile of the image, and products: outputs + taps − 1. */
  readonly size: number;
  readonly image: Matrix;
  readonly weights: Matrix;
  readonly result: Matrix;
}

/**
 * Finite points by size; infinity is the last. In pairs ±a half of the arithmetic is shared. Those of size 6 lose a fourth of what the
 * usual 0, ±1, ±2 lose, those of size 5 three fourths of what 0, ±1, 2 lose; image and result transforms are exact in
 * binary. A size of 7 or 8 loses three times as much as 6.
 */
const pointsOf: Readonly<Record<number, readonly number[]>> = {
  3: [0, -1],
  4: [0, 1, -1],
  5: [0, 3 / 4, -3 / 4, 2],
  6: [0, 3 / 4, -3 / 4, 3 / 2, -3 / 2],
};
const largestSize = 6;

/** All forms of an axis with so many taps: at least two of them and two results, at most `largestSize` products. */
export function transformsFor(taps: number): Transforms[] {
  const most = taps < 2 ? 0 : largestSize - taps + 1;
  return Array.from({ length: Math.max(0, most - 1) }, (_, i) => transformsOf(i + 2, taps));
}

function transformsOf(outputs: number, taps: number): Transforms {
  const size = outputs + taps - 1;
  const points = pointsOf[size]!;
  const powers = (point: number, count: number): number[] => Array.from({ length: count }, (_, i) => point ** i);
  const last = (count: number): number[] => Array.from({ length: count }, (_, i) => (i === count - 1 ? 1 : 0));
  const othersOf = (point: number): number[] => points.filter((other) => other !== point);
  const image = points.map((point) => [...polynomial(othersOf(point)), 0]);
  const weights = points.map((point) => {
    const scale = othersOf(point).reduce((product, other) => product * (point - other), 1);
    return powers(point, taps).map((power) => power / scale);
  });
  const columns = [...points.map((point) => powers(point, outputs)), last(outputs)];
  return {
    outputs,
    taps,
    size,
    image: [...image, polynomial(points)],
    weights: [...weights, last(taps)],
    result: Array.from({ length: outputs }, (_, i) => columns.map((column) => column[i]!)),
  };
}

/** Coefficients of Π (x − root), the constant first. */
function polynomial(roots: readonly number[]): number[] {
  let product = [1];
  for (const root of roots) product = [0, ...product].map((shifted, i) => shifted - root * (product[i] ?? 0));
  return product;
}

/** Names for values, and the statements that compute them. */
export class Block {
  readonly stmts: Stmt[] = [];
  #count = 0;

  let(name: string, value: Expr): Expr {
    const local: Local = { name, dtype: value.dtype, lanes: 1 };
    this.stmts.push({ kind: 'let', local, value });
    return { kind: 'local', dtype: value.dtype, local };
  }

  part(value: Expr): Expr {
    return this.let(`part${this.#count++}`, value);
  }

  /** rows · values · columnsᵀ. */
  transform(rows: Matrix, columns: Matrix, values: readonly (readonly Expr[])[]): Expr[][] {
    const half = values[0]!.map((_, j) =>
      this.#multiply(
        rows,
        values.map((row) => row[j]!),
      ),
    );
    return rows.map((_, i) =>
      this.#multiply(
        columns,
        half.map((column) => column[i]!),
      ),
    );
  }

  /** matrix · values; what a pair of points ±a has in common is computed once. */
  #multiply(matrix: Matrix, values: readonly Expr[]): Expr[] {
    const { coefficients, inputs } = this.#paired(matrix, values);
    const results: Expr[] = [];
    for (let i = 0; i < matrix.length; i++) {
      const [row, next] = [coefficients[i]!, coefficients[i + 1]];
      if (next === undefined || !isMirror(row, next)) {
        results.push(this.part(combine(row, inputs)));
        continue;
      }
      const even = this.part(
        combine(
          row.map((c, j) => (c === next[j] ? c : 0)),
          inputs,
        ),
      );
      const odd = this.part(
        combine(
          row.map((c, j) => (c === next[j] ? 0 : c)),
          inputs,
        ),
      );
      results.push(this.part(apply('add', even, odd)), this.part(apply('sub', even, odd)));
      i++;
    }
    return results;
  }

  /** Columns of a pair ±a, which differ in signs alone, as columns of their values' sum and difference. */
  #paired(matrix: Matrix, values: readonly Expr[]): { coefficients: number[][]; inputs: Expr[] } {
    const coefficients = matrix.map((row) => [...row]);
    const inputs = [...values];
    const column = (j: number): number[] => matrix.map((row) => row[j]!);
    for (let j = 0; j + 1 < values.length; j++) {
      if (!isMirror(column(j), column(j + 1))) continue;
      inputs[j] = this.part(apply('add', values[j]!, values[j + 1]!));
      inputs[j + 1] = this.part(apply('sub', values[j]!, values[j + 1]!));
      for (const row of coefficients) [row[j], row[j + 1]] = row[j] === row[j + 1] ? [row[j]!, 0] : [0, row[j]!];
      j++;
    }
    return { coefficients, inputs };
  }
}

/** True where coefficients agree but for signs, and some of each kind agree and differ. */
function isMirror(a: readonly number[], b: readonly number[]): boolean {
  const used = a.flatMap((c, i) => (c === 0 && b[i] === 0 ? [] : [i]));
  return (
    used.every((i) => Math.abs(a[i]!) === Math.abs(b[i]!)) &&
    used.some((i) => a[i] === b[i]) &&
    used.some((i) => a[i] !== b[i])
  );
}

/** Σ coefficientᵢ · valueᵢ, without products by 0 and ±1. */
function combine(coefficients: readonly number[], values: readonly Expr[]): Expr {
  let sum: Expr | null = null;
  coefficients.forEach((coefficient, i) => {
    const value = values[i]!;
    if (coefficient === 0) return;
    const scaled =
      Math.abs(coefficient) === 1 ? value : apply('mul', value, literal(value.dtype, Math.abs(coefficient)));
    if (sum === null) sum = coefficient < 0 ? apply('neg', scaled) : scaled;
    else sum = apply(coefficient < 0 ? 'sub' : 'add', sum, scaled);
  });
  return sum!;
}
