// Statements and kernels as JavaScript functions over typed arrays.

import { InternalError } from '../../ir/errors.ts';
import type { Axis } from '../../ir/index-expr.ts';
import type { Kernel, Local, Monoid, Stmt } from '../../ir/kernel.ts';
import { isFloat } from '../../ir/types.ts';
import { describeKernel } from '../names.ts';
import { asOperand } from '../text.ts';
import { arrayNames } from '../typed-arrays.ts';
import { bufferName, printExpr, printIndex, printRaw, type Scope } from './expressions.ts';
import { wrapped } from './helpers.ts';
import { Namer } from './names.ts';

/** Prints a kernel as a function called `name`. */
export function printKernel(kernel: Kernel, name: string, helpers: Set<string>): string {
  return `/* ${describeKernel(kernel)} */\nfunction ${name}${bodyOf(kernel, new Namer([name]), helpers)}`;
}

/** The kernel's text without comments and users' names: identical kernels have identical keys. */
export function kernelKey(kernel: Kernel, helpers: Set<string>): string {
  const anonymous = new Namer();
  kernel.parameters.forEach(({ buffer }, i) => {
    anonymous.nameOf(buffer, `p${i}`);
  });
  kernel.iterations.forEach((axis, i) => {
    anonymous.nameOf(axis, `t${i}`);
  });
  return bodyOf(kernel, anonymous, helpers);
}

function bodyOf(kernel: Kernel, namer: Namer, helpers: Set<string>): string {
  const scope: Scope = { namer, helpers, sums: new Set() };
  const buffers = kernel.parameters.map(({ buffer }) => bufferName(buffer, scope));
  const numbers = kernel.iterations.map((axis) => namer.nameOf(axis, axis.name));
  const parameters = [...buffers, ...numbers].join(', ');
  const scratch: string[] = [];
  const body = printBlock(kernel.body, scope, 1, scratch);
  return [`(${parameters}) {`, ...scratch, ...body, '}'].join('\n');
}

const indent = (depth: number): string => '  '.repeat(depth);

/** `scratch` takes the arrays of a kernel, which are made once per call and not once per iteration. */
function printBlock(body: readonly Stmt[], scope: Scope, depth: number, scratch: string[]): string[] {
  return body.flatMap((stmt) => printStmt(stmt, scope, depth, scratch));
}

function printStmt(stmt: Stmt, scope: Scope, depth: number, scratch: string[]): string[] {
  const line = (text: string): string[] => [`${indent(depth)}${text}`];
  const local = (value: Local): string => scope.namer.nameOf(value, value.name);
  const element = ({ buffer, offset }: Extract<Stmt, { kind: 'store' | 'update' }>): string =>
    `${bufferName(buffer, scope)}[${printIndex(offset, scope)}]`;
  switch (stmt.kind) {
    case 'loop':
      if (stmt.axisKind === 'workgroup' || stmt.axisKind === 'invocation')
        throw new InternalError(`a ${stmt.axisKind} axis in a JavaScript kernel`);
      return printLoops([stmt.axis], stmt.body, scope, depth, scratch);
    case 'tasks':
      return printLoops(stmt.axes, stmt.body, scope, depth, scratch);
    case 'let':
      return line(`const ${local(stmt.local)} = ${printExpr(stmt.value, scope)};`);
    case 'accumulator':
      scope.sums.add(stmt.local);
      return line(`let ${local(stmt.local)} = ${printExpr(stmt.initial, scope)};`);
    case 'assign':
      return line(`${local(stmt.local)} = ${printExpr(stmt.value, scope)};`);
    case 'accumulate':
      return line(combine(local(stmt.local), stmt.local.dtype, stmt.monoid, printRaw(stmt.value, scope), scope));
    case 'store':
      return line(`${element(stmt)} = ${printRaw(stmt.value, scope)};`);
    case 'update':
      return line(combine(element(stmt), stmt.buffer.dtype, stmt.monoid, printRaw(stmt.value, scope), scope));
    case 'allocate':
      scratch.push(
        `  const ${bufferName(stmt.buffer, scope)} = new ${arrayNames[stmt.buffer.dtype]}(${stmt.buffer.size});`,
      );
      return [];
    case 'if': {
      const lines = [
        ...line(`if (${printExpr(stmt.condition, scope)}) {`),
        ...printBlock(stmt.then, scope, depth + 1, scratch),
      ];
      if (stmt.otherwise.length > 0)
        lines.push(...line('} else {'), ...printBlock(stmt.otherwise, scope, depth + 1, scratch));
      return [...lines, ...line('}')];
    }
    case 'barrier':
      return [];
    case 'subgroup':
    case 'uniform':
    case 'leave':
    case 'part':
      throw new InternalError(`${stmt.kind} in a JavaScript kernel`);
  }
}

function printLoops(
  axes: readonly Axis[],
  body: readonly Stmt[],
  scope: Scope,
  depth: number,
  scratch: string[],
): string[] {
  const [outer, ...inner] = axes;
  if (outer === undefined) return printBlock(body, scope, depth, scratch);
  const name = scope.namer.nameOf(outer, outer.name);
  return [
    `${indent(depth)}for (let ${name} = 0; ${name} < ${outer.extent}; ${name}++) {`,
    ...printLoops(inner, body, scope, depth + 1, scratch),
    `${indent(depth)}}`,
  ];
}

/** `target = target ⊕ value` */
function combine(target: string, dtype: Local['dtype'], monoid: Monoid, value: string, scope: Scope): string {
  const isInteger = !isFloat(dtype) && dtype !== 'bool';
  switch (monoid) {
    case 'sum':
      return isInteger ? `${target} = ${wrapped(dtype, `${target} + ${asOperand(value)}`)};` : `${target} += ${value};`;
    case 'prod': {
      if (!isInteger) return `${target} *= ${value};`;
      const product =
        dtype === 'i32' || dtype === 'u32' ? `Math.imul(${target}, ${value})` : `${target} * ${asOperand(value)}`;
      return `${target} = ${wrapped(dtype, product)};`;
    }
    case 'max':
    case 'min': {
      if (dtype !== 'i64') return `${target} = Math.${monoid}(${target}, ${value});`;
      scope.helpers.add(`ash_${monoid}_i64`);
      return `${target} = ash_${monoid}_i64(${target}, ${value});`;
    }
    case 'and':
      return `${target} &= ${value};`;
    case 'or':
      return `${target} |= ${value};`;
  }
}
