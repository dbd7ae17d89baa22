// Integer index arithmetic in one canonical form: a linear combination of atoms plus a constant. Atoms are loop axes,
// quotients and remainders by positive constants, and data-dependent integers (gather). Bounds of the axes remove
// most divisions: (12·i + j) / 12 with 0 ≤ j < 12 is i. Division rounds towards −∞ and remainders are never negative.

import type { Expr } from './kernel.ts';

/** A loop variable running from 0 to extent − 1. Identity is by object; names are made unique by the printers. */
export interface Axis {
  readonly kind: 'axis';
  readonly name: string;
  readonly extent: number;
}

export interface Quotient {
  readonly kind: 'quotient';
  readonly value: IndexExpr;
  readonly by: number;
}

export interface Remainder {
  readonly kind: 'remainder';
  readonly value: IndexExpr;
  readonly by: number;
}

/** An integer computed by the kernel, known to lie in [lower, upper]. */
export interface Dynamic {
  readonly kind: 'dynamic';
  readonly expr: Expr;
  readonly lower: number;
  readonly upper: number;
}

export type Atom = Axis | Quotient | Remainder | Dynamic;

export interface Term {
  readonly atom: Atom;
  readonly coefficient: number;
}

export interface IndexExpr {
  readonly terms: readonly Term[];
  readonly constant: number;
}

export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

export function axis(name: string, extent: number): Axis {
  return { kind: 'axis', name, extent };
}

export function fixed(constant: number): IndexExpr {
  return { terms: [], constant };
}

export function of(atom: Atom): IndexExpr {
  if (atom.kind === 'axis' && atom.extent === 1) return fixed(0);
  return { terms: [{ atom, coefficient: 1 }], constant: 0 };
}

export function sameAtom(a: Atom, b: Atom): boolean {
  if (a === b) return true;
  if (a.kind === 'quotient' || a.kind === 'remainder') {
    return a.kind === b.kind && a.by === b.by && sameIndex(a.value, b.value);
  }
  return a.kind === 'dynamic' && b.kind === 'dynamic' && a.expr === b.expr;
}

export function sameIndex(a: IndexExpr, b: IndexExpr): boolean {
  if (a === b) return true;
  if (a.constant !== b.constant || a.terms.length !== b.terms.length) return false;
  return a.terms.every((term) => coefficientOf(b, term.atom) === term.coefficient);
}

export function coefficientOf(index: IndexExpr, atom: Atom): number {
  for (const term of index.terms) if (sameAtom(term.atom, atom)) return term.coefficient;
  return 0;
}

export function add(a: IndexExpr, b: IndexExpr): IndexExpr {
  if (b.terms.length === 0) return b.constant === 0 ? a : { terms: a.terms, constant: a.constant + b.constant };
  if (a.terms.length === 0) return add(b, a);
  const terms = [...a.terms];
  for (const term of b.terms) {
    const at = terms.findIndex((other) => sameAtom(other.atom, term.atom));
    if (at < 0) terms.push(term);
    else {
      const coefficient = terms[at]!.coefficient + term.coefficient;
      if (coefficient === 0) terms.splice(at, 1);
      else terms[at] = { atom: term.atom, coefficient };
    }
  }
  return rejoin({ terms, constant: a.constant + b.constant });
}

/** by·q·⌊v/by⌋ + q·(v mod by) is q·v: undoes a split that a reshape made. */
function rejoin(index: IndexExpr): IndexExpr {
  for (const remainder of index.terms) {
    if (remainder.atom.kind !== 'remainder') continue;
    const { value, by } = remainder.atom;
    const scale = remainder.coefficient;
    const rest = index.terms.filter((term) => term !== remainder);
    const quotient = floorDiv(value, by);
    const target = multiply(quotient, by * scale);
    const found = target.terms.every(
      (term) => coefficientOf({ terms: rest, constant: 0 }, term.atom) === term.coefficient,
    );
    if (!found || target.terms.length === 0) continue;
    const kept = rest.filter((term) => coefficientOf(target, term.atom) === 0);
    return add({ terms: kept, constant: index.constant - target.constant }, multiply(value, scale));
  }
  return index;
}

export function multiply(a: IndexExpr, factor: number): IndexExpr {
  if (factor === 1) return a;
  if (factor === 0) return fixed(0);
  return {
    terms: a.terms.map((term) => ({ atom: term.atom, coefficient: term.coefficient * factor })),
    constant: a.constant * factor + 0, // −0 becomes 0
  };
}

export function subtract(a: IndexExpr, b: IndexExpr): IndexExpr {
  return add(a, multiply(b, -1));
}

export function boundsOf(index: IndexExpr): Bounds {
  let lower = index.constant;
  let upper = index.constant;
  for (const { atom, coefficient } of index.terms) {
    const bounds = atomBounds(atom);
    lower += coefficient * (coefficient > 0 ? bounds.lower : bounds.upper);
    upper += coefficient * (coefficient > 0 ? bounds.upper : bounds.lower);
  }
  return { lower, upper };
}

function atomBounds(atom: Atom): Bounds {
  switch (atom.kind) {
    case 'axis':
      return { lower: 0, upper: atom.extent - 1 };
    case 'quotient': {
      const inner = boundsOf(atom.value);
      return { lower: Math.floor(inner.lower / atom.by), upper: Math.floor(inner.upper / atom.by) };
    }
    case 'remainder':
      return { lower: 0, upper: atom.by - 1 };
    case 'dynamic':
      return { lower: atom.lower, upper: atom.upper };
  }
}

/** Splits `index` into the part whose coefficients are multiples of `by`, divided, and the rest. */
function split(index: IndexExpr, by: number): { whole: IndexExpr; rest: IndexExpr } {
  const whole: Term[] = [];
  const rest: Term[] = [];
  for (const term of index.terms) {
    if (term.coefficient % by === 0) whole.push({ atom: term.atom, coefficient: term.coefficient / by });
    else rest.push(term);
  }
  const constant = Math.floor(index.constant / by);
  return { whole: { terms: whole, constant }, rest: { terms: rest, constant: index.constant - constant * by } };
}

export function floorDiv(index: IndexExpr, by: number): IndexExpr {
  if (by === 1) return index;
  const { whole, rest } = split(index, by);
  const bounds = boundsOf(rest);
  const low = Math.floor(bounds.lower / by);
  if (low === Math.floor(bounds.upper / by)) return add(whole, fixed(low));
  if (rest.terms.length === 1 && rest.constant === 0) {
    const { atom, coefficient } = rest.terms[0]!;
    if (coefficient > 0 && by % coefficient === 0) return add(whole, floorDivAtom(atom, by / coefficient));
  }
  return add(whole, of({ kind: 'quotient', value: rest, by }));
}

function floorDivAtom(atom: Atom, by: number): IndexExpr {
  if (by === 1) return of(atom);
  if (atom.kind === 'quotient') return floorDiv(atom.value, atom.by * by);
  return of({ kind: 'quotient', value: of(atom), by });
}

export function modulo(index: IndexExpr, by: number): IndexExpr {
  if (by === 1) return fixed(0);
  const { rest } = split(index, by);
  const bounds = boundsOf(rest);
  const low = Math.floor(bounds.lower / by);
  if (low === Math.floor(bounds.upper / by)) return add(rest, fixed(-low * by));
  if (rest.terms.length === 1 && rest.constant === 0) {
    const { atom, coefficient } = rest.terms[0]!;
    if (coefficient > 0 && by % coefficient === 0) return multiply(moduloAtom(atom, by / coefficient), coefficient);
  }
  return of({ kind: 'remainder', value: rest, by });
}

function moduloAtom(atom: Atom, by: number): IndexExpr {
  if (by === 1) return fixed(0);
  if (atom.kind === 'remainder' && atom.by % by === 0) return modulo(atom.value, by);
  return of({ kind: 'remainder', value: of(atom), by });
}

/** Replaces axes (and the expressions inside dynamic atoms, by `rewriteExpr`) and simplifies again. */
export function substitute(
  index: IndexExpr,
  replace: (axis: Axis) => IndexExpr | null,
  rewriteExpr: (expr: Expr) => Expr,
): IndexExpr {
  let result = fixed(index.constant);
  for (const { atom, coefficient } of index.terms) {
    result = add(result, multiply(substituteAtom(atom, replace, rewriteExpr), coefficient));
  }
  return result;
}

function substituteAtom(
  atom: Atom,
  replace: (axis: Axis) => IndexExpr | null,
  rewriteExpr: (expr: Expr) => Expr,
): IndexExpr {
  switch (atom.kind) {
    case 'axis':
      return replace(atom) ?? of(atom);
    case 'quotient':
      return floorDiv(substitute(atom.value, replace, rewriteExpr), atom.by);
    case 'remainder':
      return modulo(substitute(atom.value, replace, rewriteExpr), atom.by);
    case 'dynamic':
      return of({ ...atom, expr: rewriteExpr(atom.expr) });
  }
}

/** Row-major flat offset of a multi-dimensional index: Σ index[i]·stride[i]. */
export function flatten(indices: readonly IndexExpr[], shape: readonly number[]): IndexExpr {
  let offset = fixed(0);
  for (let i = 0; i < shape.length; i++) offset = add(multiply(offset, shape[i]!), indices[i]!);
  return offset;
}

/** The inverse of flatten: `[⌊o/s₀⌋, ⌊o/s₁⌋ mod d₁, …]`. */
export function unflatten(offset: IndexExpr, shape: readonly number[]): IndexExpr[] {
  const indices = new Array<IndexExpr>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const quotient = floorDiv(offset, stride);
    indices[i] = i === 0 ? quotient : modulo(quotient, shape[i]!);
    stride *= shape[i]!;
  }
  return indices;
}

/** True where an atom's value may change with one of the axes; what is read from memory counts as changing. */
export function mentions(atom: Atom, axes: readonly Axis[]): boolean {
  switch (atom.kind) {
    case 'axis':
      return axes.includes(atom);
    case 'quotient':
    case 'remainder':
      return atom.value.terms.some((term) => mentions(term.atom, axes));
    case 'dynamic':
      return true;
  }
}
