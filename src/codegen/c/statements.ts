// Statements and kernels as C functions.

import { InternalError } from '../../ir/errors.ts';
import type { Kernel, Local, Monoid, Stmt } from '../../ir/kernel.ts';
import { isShared } from '../../passes/team.ts';
import { describeKernel } from '../names.ts';
import { basesOf } from './bases.ts';
import {
  bufferName,
  placeOf,
  printDot4,
  printExpr,
  printIndex,
  type Scope,
  scalarType,
  sizeText,
  sumKey,
  typeOf,
} from './expressions.ts';
import { Namer } from './names.ts';
import { tasksHead } from './team.ts';

/** Prints a kernel as a static function called `name`. */
export function printKernel(kernel: Kernel, name: string, scope: Omit<Scope, 'namer'>): string {
  return printFunction(kernel, `ASH_KERNEL ${name}`, { ...scope, namer: new Namer([name]) }, []);
}

/** What a file has to know of a kernel that is in another. */
export function declareKernel(kernel: Kernel, name: string, scope: Omit<Scope, 'namer'>): string {
  return `ASH_KERNEL ${name}(${signature(kernel, { ...scope, namer: new Namer([name]) })});`;
}

function printFunction(kernel: Kernel, head: string, scope: Scope, sizes: readonly string[]): string {
  return [
    `/* ${describeKernel(kernel)} */`,
    `${head}(${signature(kernel, scope, sizes)}) {`,
    ...printBlock(kernel.body, scope, 1),
    '}',
  ].join('\n');
}

/** The kernel's text without comments and users' names: identical kernels have identical keys. */
export function kernelKey(kernel: Kernel, scope: Omit<Scope, 'namer'>): string {
  const anonymous: Scope = { ...scope, namer: new Namer() };
  kernel.parameters.forEach(({ buffer }, i) => {
    anonymous.namer.nameOf(buffer, `p${i}`);
  });
  kernel.iterations.forEach((axis, i) => {
    anonymous.namer.nameOf(axis, `t${i}`);
  });
  return [signature(kernel, anonymous), ...printBlock(kernel.body, anonymous, 1)].join('\n');
}

/** A kernel's key without its sizes, and these in the order in which they stand in it. */
export function kernelShape(kernel: Kernel, scope: Omit<Scope, 'namer' | 'size'>): { key: string; sizes: number[] } {
  const sizes: number[] = [];
  const size = (value: number): string => {
    sizes.push(value);
    return '#';
  };
  return { key: kernelKey(kernel, { ...scope, size }), sizes };
}

/**
 * What kernels of one shape have in common: a function that is part of each, and takes the sizes in which they differ.
 * `nameOf` gives the parameter that stands for the size at a place of the text, or null where all have the same.
 */
export function printBody(
  kernel: Kernel,
  name: string,
  scope: Omit<Scope, 'namer' | 'size'>,
  nameOf: (place: number) => string | null,
  sizes: readonly string[],
): string {
  let place = 0;
  const size = (value: number): string => nameOf(place++) ?? String(value);
  return printFunction(kernel, `ASH_BODY ${name}`, { ...scope, namer: new Namer([name, ...sizes]), size }, sizes);
}

/** A kernel called `name` that is nothing but a call of a body with its sizes. A comment says what the body's does not. */
export function printCallOf(
  { name: body, described }: { readonly name: string; readonly described: string },
  kernel: Kernel,
  name: string,
  scope: Omit<Scope, 'namer'>,
  sizes: readonly number[],
): string {
  const named: Scope = { ...scope, namer: new Namer([name, body]) };
  const parameters = signature(kernel, named);
  const passed = kernel.parameters.map(({ buffer }) => bufferName(buffer, named));
  const numbers = kernel.iterations.map((axis) => named.namer.nameOf(axis, axis.name));
  const all = [...passed, ...numbers, ...(isShared(kernel) ? ['worker'] : []), ...sizes].join(', ');
  const comment = describeKernel(kernel) === described ? '' : `/* ${describeKernel(kernel)} */\n`;
  return `${comment}ASH_KERNEL ${name}(${parameters}) {\n  ${body}(${all});\n}`;
}

function signature(kernel: Kernel, scope: Scope, sizes: readonly string[] = []): string {
  const parameters = kernel.parameters.map(({ buffer, access }) => {
    const constant = access === 'read' ? 'const ' : '';
    return `${constant}${scalarType(buffer.dtype)} *restrict ${bufferName(buffer, scope)}`;
  });
  const numbers = kernel.iterations.map((axis) => `const ash_index ${scope.namer.nameOf(axis, axis.name)}`);
  const worker = isShared(kernel) ? ['ash_worker *worker'] : [];
  return [...parameters, ...numbers, ...worker, ...sizes.map((size) => `ash_index ${size}`)].join(', ') || 'void';
}

/** Characters of a line that holds several declarations. */
const lineWidth = 120;

/** Sums of indices that are used often are named first. Declarations of one type that stand together share lines. */
export function printBlock(body: readonly Stmt[], outer: Scope, depth: number): string[] {
  const names = new Map(outer.bases);
  const scope = { ...outer, bases: names };
  const bases = basesOf(body, (index) => sumKey(index, scope)).filter(({ key }) => !names.has(key));
  const lines: string[] = [];
  let declared: string | null = null;
  for (const stmt of body) {
    for (const { key, index } of bases.filter(({ before }) => before === stmt)) {
      const sum = printIndex(index, scope);
      names.set(key, scope.namer.fresh('base'));
      lines.push(`${indent(depth)}const ash_index ${names.get(key)!} = ${sum};`);
      declared = null;
    }
    const printed = printStmt(stmt, scope, depth);
    const type = sharedType(stmt, scope);
    const begin = type === null ? null : `${indent(depth)}${type} `;
    const joined = begin === null ? '' : `${lines.at(-1)?.slice(0, -1)}, ${printed[0]!.slice(begin.length)}`;
    if (begin !== null && begin === declared && joined.length <= lineWidth) lines[lines.length - 1] = joined;
    else lines.push(...printed);
    declared = begin;
  }
  return lines;
}

/** The type of a declaration that may share its line: of accumulators, and of vectors, which come in rows. */
function sharedType(stmt: Stmt, scope: Scope): string | null {
  if (stmt.kind !== 'accumulator' && (stmt.kind !== 'let' || stmt.local.lanes === 1)) return null;
  return `${stmt.kind === 'let' ? 'const ' : ''}${typeOf(stmt.local.dtype, stmt.local.lanes, scope)}`;
}

const indent = (depth: number): string => '  '.repeat(depth);

function printStmt(stmt: Stmt, scope: Scope, depth: number): string[] {
  const line = (text: string): string[] => [`${indent(depth)}${text}`];
  const local = (value: Local): string => scope.namer.nameOf(value, value.name);
  switch (stmt.kind) {
    case 'loop':
      return printLoop(stmt, scope, depth);
    case 'let':
      return line(
        `const ${typeOf(stmt.local.dtype, stmt.local.lanes, scope)} ${local(stmt.local)} = ${printExpr(stmt.value, scope)};`,
      );
    case 'accumulator':
      return line(
        `${typeOf(stmt.local.dtype, stmt.local.lanes, scope)} ${local(stmt.local)} = ${initial(stmt, scope)};`,
      );
    case 'assign':
      return line(`${local(stmt.local)} = ${printExpr(stmt.value, scope)};`);
    case 'accumulate':
      if (stmt.value.kind === 'apply' && stmt.value.op === 'dot4')
        return line(`${local(stmt.local)} = ${printDot4(local(stmt.local), stmt.value, scope)};`);
      return line(combine(local(stmt.local), stmt.local, stmt.monoid, printExpr(stmt.value, scope), scope));
    case 'store':
      return line(`${printTarget(stmt, scope)} = ${printExpr(stmt.value, scope)};`);
    case 'update': {
      const target = `${bufferName(stmt.buffer, scope)}[${printIndex(stmt.offset, scope)}]`;
      return line(
        combine(target, { dtype: stmt.buffer.dtype, lanes: 1 }, stmt.monoid, printExpr(stmt.value, scope), scope),
      );
    }
    case 'allocate':
      return line(
        `${scalarType(stmt.buffer.dtype)} ${bufferName(stmt.buffer, scope)}[${stmt.buffer.size}] ASH_ALIGNED;`,
      );
    case 'if': {
      const lines = [...line(`if (${printExpr(stmt.condition, scope)}) {`), ...printBlock(stmt.then, scope, depth + 1)];
      if (stmt.otherwise.length > 0) lines.push(...line('} else {'), ...printBlock(stmt.otherwise, scope, depth + 1));
      return [...lines, ...line('}')];
    }
    case 'tasks': {
      const head = tasksHead(
        stmt.axes,
        stmt.grain,
        (axis) => scope.namer.nameOf(axis, axis.name),
        (value) => sizeText(value, scope),
      );
      return [...head.flatMap(line), ...printBlock(stmt.body, scope, depth + 1), ...line('}')];
    }
    case 'barrier':
      return line('ash_wait(worker);');
    case 'subgroup':
    case 'uniform':
    case 'leave':
    case 'part':
      throw new InternalError(`${stmt.kind} in a C kernel`);
  }
}

function initial({ initial: value }: Extract<Stmt, { kind: 'accumulator' }>, scope: Scope): string {
  if (value.kind === 'splat' && value.value.kind === 'literal' && value.value.value === 0) {
    return '{0}';
  }
  return printExpr(value, scope);
}

function printTarget({ buffer, offset, value }: Extract<Stmt, { kind: 'store' }>, scope: Scope): string {
  const name = `${bufferName(buffer, scope)}[${printIndex(offset, scope)}]`;
  const lanes =
    value.kind === 'local' ? value.local.lanes : value.kind === 'load' || value.kind === 'splat' ? value.lanes : 1;
  return lanes === 1 ? name : `${placeOf(typeOf(buffer.dtype, lanes, scope))}(${name})`;
}

/** `target = target ⊕ value` for floats and vectors as an operator; integers by the helper that wraps. */
function combine(
  target: string,
  { dtype, lanes }: Pick<Local, 'dtype' | 'lanes'>,
  monoid: Monoid,
  value: string,
  scope: Scope,
): string {
  const plain = dtype === 'f32' || dtype === 'f64' || lanes > 1;
  const call = (name: string): string => {
    scope.helpers.add(`ash_${name}_${dtype}`);
    return `${target} = ash_${name}_${dtype}(${target}, ${value});`;
  };
  switch (monoid) {
    case 'sum':
      return plain ? `${target} += ${value};` : call('add');
    case 'prod':
      return plain ? `${target} *= ${value};` : call('mul');
    case 'max':
    case 'min':
      return call(monoid);
    case 'and':
      return `${target} &= ${value};`;
    case 'or':
      return `${target} |= ${value};`;
  }
}

function printLoop(loop: Extract<Stmt, { kind: 'loop' }>, scope: Scope, depth: number): string[] {
  const lines: string[] = [];
  if (loop.axisKind === 'vector') {
    const clauses = simdClauses(loop.body, scope);
    if (clauses !== null) lines.push(`${indent(depth)}ASH_OMP(simd${clauses})`);
  } else if (loop.axisKind === 'unroll') {
    lines.push(`${indent(depth)}ASH_UNROLL(${loop.axis.extent})`);
  } else if (loop.axisKind === 'workgroup' || loop.axisKind === 'invocation') {
    throw new InternalError(`a ${loop.axisKind} axis in a C kernel`);
  }
  const name = scope.namer.nameOf(loop.axis, loop.axis.name);
  lines.push(
    `${indent(depth)}for (ash_index ${name} = 0; ${name} < ${sizeText(loop.axis.extent, scope)}; ${name}++) {`,
  );
  lines.push(...printBlock(loop.body, scope, depth + 1));
  lines.push(`${indent(depth)}}`);
  return lines;
}

/** The reduction clauses of a loop in lanes; null where OpenMP has no clause for what the loop accumulates. */
function simdClauses(body: readonly Stmt[], scope: Scope): string | null {
  const inside = new Set<Local>();
  const clauses: string[] = [];
  let possible = true;
  const visit = (stmts: readonly Stmt[]): void => {
    for (const stmt of stmts) {
      if (stmt.kind === 'let' || stmt.kind === 'accumulator') inside.add(stmt.local);
      if (stmt.kind === 'loop') visit(stmt.body);
      if (stmt.kind === 'if') {
        visit(stmt.then);
        visit(stmt.otherwise);
      }
      if (stmt.kind === 'assign' && !inside.has(stmt.local)) possible = false;
      if (stmt.kind !== 'accumulate' || inside.has(stmt.local)) continue;
      const float = stmt.local.dtype === 'f32' || stmt.local.dtype === 'f64';
      if (!float || (stmt.monoid !== 'sum' && stmt.monoid !== 'prod')) possible = false;
      clauses.push(
        ` reduction(${stmt.monoid === 'prod' ? '*' : '+'} : ${scope.namer.nameOf(stmt.local, stmt.local.name)})`,
      );
    }
  };
  visit(body);
  return possible ? [...new Set(clauses)].join('') : null;
}
