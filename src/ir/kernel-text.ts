// Kernels as text for people: one line a statement, loops with their extents and kinds.

import type { Atom, IndexExpr } from './index-expr.ts';
import type { Buffer, Expr, Kernel, Stmt } from './kernel.ts';

/** A kernel in readable form. It is for dumps and tests, and is not read back. */
export function printKernelText(kernel: Kernel): string {
  const parameters = kernel.parameters.map(
    ({ buffer, access }) => `${access} ${buffer.name}: ${buffer.dtype}[${buffer.size}]`,
  );
  return [`kernel ${kernel.name}(${parameters.join(', ')}) {`, ...printBlock(kernel.body, 1), '}'].join('\n');
}

function printBlock(body: readonly Stmt[], depth: number): string[] {
  const pad = '  '.repeat(depth);
  const print = (stmt: Stmt): string[] => {
    switch (stmt.kind) {
      case 'loop':
        return [
          `${pad}${stmt.axisKind} ${stmt.axis.name} < ${stmt.axis.extent} {`,
          ...printBlock(stmt.body, depth + 1),
          `${pad}}`,
        ];
      case 'let':
        return [`${pad}${stmt.local.name} = ${printScalar(stmt.value)}`];
      case 'accumulator':
        return [
          `${pad}var ${stmt.local.name}${stmt.local.lanes > 1 ? `<${stmt.local.lanes}>` : ''} = ${printScalar(stmt.initial)}`,
        ];
      case 'accumulate':
        return [`${pad}${stmt.local.name} ${stmt.monoid}= ${printScalar(stmt.value)}`];
      case 'assign':
        return [`${pad}${stmt.local.name} := ${printScalar(stmt.value)}`];
      case 'store':
        return [`${pad}${element(stmt.buffer, stmt.offset)} = ${printScalar(stmt.value)}`];
      case 'update':
        return [`${pad}${element(stmt.buffer, stmt.offset)} ${stmt.monoid}= ${printScalar(stmt.value)}`];
      case 'allocate':
        return [`${pad}${stmt.buffer.space} ${stmt.buffer.name}: ${stmt.buffer.dtype}[${stmt.buffer.size}]`];
      case 'if': {
        const otherwise =
          stmt.otherwise.length === 0 ? [] : [`${pad}} else {`, ...printBlock(stmt.otherwise, depth + 1)];
        return [
          `${pad}if ${printScalar(stmt.condition)} {`,
          ...printBlock(stmt.then, depth + 1),
          ...otherwise,
          `${pad}}`,
        ];
      }
      case 'tasks':
        return [
          `${pad}tasks ${stmt.axes.map(({ name, extent }) => `${name} < ${extent}`).join(', ')} by ${stmt.grain} {`,
          ...printBlock(stmt.body, depth + 1),
          `${pad}}`,
        ];
      case 'subgroup':
        return [`${pad}${stmt.local.name} = subgroup ${stmt.monoid}(${printScalar(stmt.value)})`];
      case 'barrier':
        return [`${pad}barrier`];
      case 'uniform':
        return [`${pad}${stmt.local.name} = uniform ${element(stmt.buffer, stmt.offset)}`];
      case 'leave':
        return [`${pad}while ${printScalar(stmt.condition)}`];
      case 'part':
        return [`${pad}part ${stmt.summary} {`, ...printBlock(stmt.body, depth + 1), `${pad}}`];
    }
  };
  return body.flatMap(print);
}

function element(buffer: Buffer, offset: IndexExpr): string {
  return `${buffer.name}[${printIndexText(offset)}]`;
}

export function printIndexText({ terms, constant }: IndexExpr): string {
  const parts = terms.map(({ atom, coefficient }) =>
    coefficient === 1 ? atomText(atom) : `${coefficient}*${atomText(atom)}`,
  );
  if (constant !== 0 || parts.length === 0) parts.push(String(constant));
  return parts.join(' + ');
}

function atomText(atom: Atom): string {
  switch (atom.kind) {
    case 'axis':
      return atom.name;
    case 'quotient':
      return `(${printIndexText(atom.value)} / ${atom.by})`;
    case 'remainder':
      return `(${printIndexText(atom.value)} % ${atom.by})`;
    case 'dynamic':
      return `int(${printScalar(atom.expr)})`;
  }
}

function printScalar(expr: Expr): string {
  switch (expr.kind) {
    case 'literal':
      return String(expr.value);
    case 'index':
      return printIndexText(expr.value);
    case 'load':
      return `${element(expr.buffer, expr.offset)}${expr.lanes > 1 ? `<${expr.lanes}>` : ''}`;
    case 'local':
      return expr.local.name;
    case 'apply':
      return `${expr.op}(${expr.args.map(printScalar).join(', ')})`;
    case 'cast':
      return `${expr.dtype}(${printScalar(expr.value)})`;
    case 'select':
      return `(${printScalar(expr.condition)} ? ${printScalar(expr.then)} : ${printScalar(expr.otherwise)})`;
    case 'splat':
      return `splat<${expr.lanes}>(${printScalar(expr.value)})`;
    case 'vector':
      return `<${expr.elements.map(printScalar).join(', ')}>`;
    case 'component':
      return `${printScalar(expr.value)}.${expr.lane}`;
  }
}
