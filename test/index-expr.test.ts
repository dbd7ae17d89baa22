import { describe, expect, it } from 'vitest';
import {
  type Axis,
  add,
  axis,
  boundsOf,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
  sameIndex,
  subtract,
  unflatten,
} from '../src/ir/index-expr.ts';

/** Evaluates an index at given axis values: the reference that every simplification is held against. */
function evaluate(index: IndexExpr, at: ReadonlyMap<Axis, number>): number {
  let sum = index.constant;
  for (const { atom, coefficient } of index.terms) {
    if (atom.kind === 'axis') sum += coefficient * at.get(atom)!;
    else if (atom.kind === 'quotient') sum += coefficient * Math.floor(evaluate(atom.value, at) / atom.by);
    else if (atom.kind === 'remainder') {
      const value = evaluate(atom.value, at);
      sum += coefficient * (value - Math.floor(value / atom.by) * atom.by);
    } else throw new Error('no dynamic atoms here');
  }
  return sum;
}

function everyPoint(axes: readonly Axis[], visit: (at: ReadonlyMap<Axis, number>) => void): void {
  const at = new Map<Axis, number>();
  const walk = (depth: number): void => {
    if (depth === axes.length) visit(at);
    for (let i = 0; i < (axes[depth]?.extent ?? 0); i++) {
      at.set(axes[depth]!, i);
      walk(depth + 1);
    }
  };
  walk(0);
}

describe('index arithmetic', () => {
  const i = axis('i', 7);
  const j = axis('j', 12);

  it('drops a division that the bounds decide', () => {
    expect(sameIndex(floorDiv(add(multiply(of(i), 12), of(j)), 12), of(i))).toBe(true);
    expect(sameIndex(modulo(add(multiply(of(i), 12), of(j)), 12), of(j))).toBe(true);
  });

  it('rejoins a quotient and a remainder of the same value', () => {
    const flat = axis('flat', 84);
    const split = unflatten(of(flat), [7, 12]);
    expect(sameIndex(flatten(split, [7, 12]), of(flat))).toBe(true);
  });

  it('rejoins three axes of a reshape', () => {
    const flat = axis('flat', 2 * 3 * 5);
    expect(sameIndex(flatten(unflatten(of(flat), [2, 3, 5]), [2, 3, 5]), of(flat))).toBe(true);
  });

  it('treats an axis of one element as zero', () => {
    expect(of(axis('one', 1))).toEqual(fixed(0));
  });

  it('divides towards minus infinity', () => {
    const shifted = subtract(of(i), fixed(3));
    everyPoint([i], (at) => {
      expect(evaluate(floorDiv(shifted, 2), at)).toBe(Math.floor((at.get(i)! - 3) / 2));
      const remainder = evaluate(modulo(shifted, 2), at);
      expect(remainder).toBe((((at.get(i)! - 3) % 2) + 2) % 2);
    });
  });

  it('never changes the value of a random expression, and its bounds hold it', () => {
    let seed = 1;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    for (let trial = 0; trial < 300; trial++) {
      const axes = [axis('a', 1 + random(4)), axis('b', 2 + random(5)), axis('c', 2 + random(4))];
      let index: IndexExpr = fixed(random(5) - 2);
      let reference = (_at: ReadonlyMap<Axis, number>): number => index.constant;
      const start = index.constant;
      reference = () => start;
      for (let step = 0; step < 6; step++) {
        const previous = reference;
        const by = 1 + random(6);
        switch (random(4)) {
          case 0: {
            const next = axes[random(3)]!;
            const factor = random(9) - 3;
            index = add(index, multiply(of(next), factor));
            reference = (at) => previous(at) + at.get(next)! * factor;
            break;
          }
          case 1:
            index = floorDiv(index, by);
            reference = (at) => Math.floor(previous(at) / by);
            break;
          case 2:
            index = modulo(index, by);
            reference = (at) => previous(at) - Math.floor(previous(at) / by) * by;
            break;
          default:
            index = multiply(index, by);
            reference = (at) => previous(at) * by;
        }
      }
      const bounds = boundsOf(index);
      everyPoint(axes, (at) => {
        const value = evaluate(index, at);
        expect(value === reference(at)).toBe(true); // −0 counts as 0
        expect(value).toBeGreaterThanOrEqual(bounds.lower);
        expect(value).toBeLessThanOrEqual(bounds.upper);
      });
    }
  });
});
