// Names for what the indices of a block have in common: lines that read places around one point tell them apart by a constant.

import type { Atom, IndexExpr, Term } from '../../ir/index-expr.ts';
import type { Stmt } from '../../ir/kernel.ts';
import { exprsOf, walkExpr } from '../../passes/expr-rewrite.ts';

/** From so many uses on a name is shorter, and clearer, than what it stands for. */
const leastUses = 3;

/** A sum without its constant, named before the statement that uses it first. */
export interface Base {
  readonly key: string;
  readonly index: IndexExpr;
  readonly before: Stmt;
}

/** The sums that a block's statements use often outside of loops, in order; `keyOf` gives equal sums equal texts. */
export function basesOf(body: readonly Stmt[], keyOf: (index: IndexExpr) => string): Base[] {
  const found = new Map<string, Base & { uses: number }>();
  for (const stmt of body)
    for (const index of indicesOf(stmt)) {
      if (index.terms.length < 2 || !isConstant(index.terms)) continue;
      const key = keyOf(index);
      const base = found.get(key) ?? { key, index: { terms: index.terms, constant: 0 }, before: stmt, uses: 0 };
      base.uses++;
      found.set(key, base);
    }
  return [...found.values()].filter(({ uses }) => uses >= leastUses);
}

function indicesOf(stmt: Stmt): IndexExpr[] {
  const indices: IndexExpr[] = [];
  for (const expr of exprsOf(stmt))
    walkExpr(expr, (part) => {
      if (part.kind === 'load') indices.push(part.offset);
      if (part.kind === 'index') indices.push(part.value);
    });
  return stmt.kind === 'if' ? [...indices, ...[...stmt.then, ...stmt.otherwise].flatMap(indicesOf)] : indices;
}

/** Whether a sum is the same in every line: what data decides may change between them. */
function isConstant(terms: readonly Term[]): boolean {
  const known = (atom: Atom): boolean =>
    atom.kind === 'axis' || (atom.kind !== 'dynamic' && isConstant(atom.value.terms));
  return terms.every(({ atom }) => known(atom));
}
