// Statements and kernels as WGSL: one shader module for each.

import { InternalError } from '../../ir/errors.ts';
import { type Axis, add, fixed } from '../../ir/index-expr.ts';
import {
  type Buffer,
  type Kernel,
  type Local,
  lanesOf,
  type Monoid,
  type Stmt,
  subgroupPlace,
} from '../../ir/kernel.ts';
import { walkStmts } from '../../passes/expr-rewrite.ts';
import { vectorBuffers } from '../../passes/gpu/vector-buffers.ts';
import { describeKernel } from '../names.ts';
import {
  arrayLanes,
  asOperand,
  helper,
  type Location,
  printExpr,
  printPlace,
  printVectorPlace,
  type Scope,
  typeName,
  wordType,
} from './expressions.ts';
import { helpersInOrder } from './helpers.ts';
import { Names } from './names.ts';

/** A buffer binding of a shader: group 0, in this order. */
export interface ShaderBinding {
  readonly name: string;
  readonly type: 'f32' | 'i32' | 'u32';
  /** Of an array of vectors; else 1. */
  readonly lanes: number;
  readonly access: 'read' | 'read_write';
}

/** A kernel's workgroups and invocations. */
export interface Grid {
  readonly group: Axis;
  readonly lane: Axis;
  readonly shared: readonly Buffer[];
  readonly body: readonly Stmt[];
}

/** Most workgroups in one dimension of a dispatch, by WebGPU's default limits. */
const mostGroups = 65_535;

/** The dispatch of so many workgroups: in two dimensions where one is not enough; then a few may be too many. */
export function dispatchOf(groups: number): readonly [number, number] {
  const rows = Math.ceil(groups / mostGroups);
  return [Math.ceil(groups / Math.max(1, rows)), Math.max(1, rows)];
}

/** The parts of a kernel for a GPU: one loop over workgroups around what they share and one loop over invocations. */
export function gridOf(kernel: Kernel): Grid {
  const [outer, ...others] = kernel.body;
  if (outer?.kind !== 'loop' || outer.axisKind !== 'workgroup' || others.length > 0)
    throw new InternalError(`kernel ${kernel.name} is not a grid of workgroups`);
  const shared = outer.body.flatMap((stmt) => (stmt.kind === 'allocate' ? [stmt.buffer] : []));
  const [inner, ...more] = outer.body.filter(({ kind }) => kind !== 'allocate');
  if (inner?.kind !== 'loop' || inner.axisKind !== 'invocation' || more.length > 0)
    throw new InternalError(`kernel ${kernel.name} is not a grid of invocations`);
  return { group: outer.axis, lane: inner.axis, shared, body: inner.body };
}

/** The text of a kernel's shader module, with a comment that names its operations and the user's lines. */
export function printShader(
  kernel: Kernel,
  bindings: readonly ShaderBinding[],
  locations: ReadonlyMap<Buffer, Location>,
): { readonly code: string; readonly key: string } {
  const code = `// ${describeKernel(kernel)}\n${shaderText(kernel, bindings, locations)}`;
  // Kernels that differ in the names of their buffers alone are one.
  const number = new Map(bindings.map(({ name }, i) => [name, `b${i}`]));
  const renamed = bindings.map((binding) => ({ ...binding, name: number.get(binding.name)! }));
  const places = [...locations].map(([buffer, at]) => [buffer, { ...at, name: number.get(at.name)! }] as const);
  return { code, key: shaderText(kernel, renamed, new Map(places)) };
}

function shaderText(
  kernel: Kernel,
  bindings: readonly ShaderBinding[],
  locations: ReadonlyMap<Buffer, Location>,
): string {
  const { group, lane, shared, body } = gridOf(kernel);
  const names = new Names(bindings.map(({ name }) => name));
  const vectors = vectorBuffers(body);
  const scope: Scope = { names, helpers: new Set(), locations, vectors };
  const declarations = bindings.map(
    ({ name, type, lanes, access }, i) =>
      `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${typeName(type, lanes)}>;`,
  );
  const numbers = kernel.iterations.map(
    (axis, i) => `@group(0) @binding(${bindings.length + i}) var<uniform> ${names.nameOf(axis, axis.name)}: i32;`,
  );
  const sharing = shared.map((buffer) => {
    const name = names.nameOf(buffer, buffer.name);
    return `var<workgroup> ${name}: ${arrayType(buffer, scope)};`;
  });
  const head = printHead(group, lane, scope);
  const lines = printBlock(body, scope, 1);
  const subgroups = usesSubgroups(body);
  const places = subgroups ? subgroupPlaces(scope) : [];
  const parameters = [
    '@builtin(workgroup_id) workgroup: vec3<u32>',
    '@builtin(local_invocation_index) invocation: u32',
    ...places.map(({ builtin }) => `@builtin(${builtin}) at_${builtin}: u32`),
  ];
  const main = [
    `@compute @workgroup_size(${lane.extent})`,
    `fn main(${parameters.join(', ')}) {`,
    ...head,
    ...places.map(({ name, builtin }) => `  let ${name} = i32(at_${builtin});`),
    ...lines,
    '}',
  ];
  const needed = subgroups ? ['enable subgroups;\nrequires subgroup_id;'] : [];
  return `${[...needed, [...declarations, ...numbers, ...sharing].join('\n'), ...helpersInOrder(scope.helpers), main.join('\n')].join('\n\n')}\n`;
}

function usesSubgroups(body: readonly Stmt[]): boolean {
  let found = false;
  walkStmts(body, ({ kind }) => {
    if (kind === 'subgroup') found = true;
  });
  return found;
}

/** The places of an invocation among subgroups by their names and WGSL's. */
function subgroupPlaces({ names }: Scope): { name: string; builtin: string }[] {
  const builtins = { id: 'subgroup_id', count: 'num_subgroups', lane: 'subgroup_invocation_id', size: 'subgroup_size' };
  return Object.entries(builtins).map(([key, builtin]) => {
    const local = subgroupPlace[key as keyof typeof builtins];
    return { name: names.nameOf(local, local.name), builtin };
  });
}

function printHead(group: Axis, lane: Axis, scope: Scope): string[] {
  const [across, rows] = dispatchOf(group.extent);
  const groupName = scope.names.nameOf(group, group.name);
  const flat = rows === 1 ? 'workgroup.x' : `workgroup.x + workgroup.y * ${across}u`;
  return [
    `  let ${groupName} = i32(${flat});`,
    ...(across * rows > group.extent ? [`  if (${groupName} >= ${group.extent}) { return; }`] : []),
    `  let ${scope.names.nameOf(lane, lane.name)} = i32(invocation);`,
  ];
}

function printBlock(body: readonly Stmt[], scope: Scope, depth: number): string[] {
  return body.flatMap((stmt) => printStmt(stmt, scope, depth));
}

function printStmt(stmt: Stmt, scope: Scope, depth: number): string[] {
  const pad = '  '.repeat(depth);
  const name = (local: Local): string => scope.names.nameOf(local, local.name);
  switch (stmt.kind) {
    case 'loop': {
      if (stmt.axisKind === 'workgroup' || stmt.axisKind === 'invocation')
        throw new InternalError('a grid inside a grid');
      const axis = scope.names.nameOf(stmt.axis, stmt.axis.name);
      const head = `for (var ${axis} = 0i; ${axis} < ${stmt.axis.extent}i; ${axis}++) {`;
      return [`${pad}${head}`, ...printBlock(stmt.body, scope, depth + 1), `${pad}}`];
    }
    case 'let':
      return [`${pad}let ${name(stmt.local)} = ${printExpr(stmt.value, scope)};`];
    case 'accumulator': {
      const value = printExpr(stmt.initial, scope);
      return [`${pad}var ${name(stmt.local)}: ${typeName(stmt.local.dtype, stmt.local.lanes)} = ${value};`];
    }
    case 'assign':
      return [`${pad}${name(stmt.local)} = ${printExpr(stmt.value, scope)};`];
    case 'accumulate': {
      const target = name(stmt.local);
      if (stmt.monoid === 'sum') return [`${pad}${target} += ${printExpr(stmt.value, scope)};`];
      return [`${pad}${target} = ${combined(target, stmt.local, stmt.monoid, printExpr(stmt.value, scope), scope)};`];
    }
    case 'store':
      return printStore(stmt, scope).map((line) => `${pad}${line}`);
    case 'update': {
      const { buffer, monoid } = stmt;
      const place = printPlace(buffer, stmt.offset, scope);
      const before = wordType(buffer, scope) === buffer.dtype ? place : `bitcast<${typeName(buffer.dtype)}>(${place})`;
      const value = combined(before, { ...buffer, lanes: 1 }, monoid, printExpr(stmt.value, scope), scope);
      return [`${pad}${place} = ${asWord(buffer, value, scope)};`];
    }
    case 'allocate':
      return [`${pad}var ${scope.names.nameOf(stmt.buffer, stmt.buffer.name)}: ${arrayType(stmt.buffer, scope)};`];
    case 'if': {
      const otherwise =
        stmt.otherwise.length === 0 ? [] : [`${pad}} else {`, ...printBlock(stmt.otherwise, scope, depth + 1)];
      return [
        `${pad}if ${inParentheses(printExpr(stmt.condition, scope))} {`,
        ...printBlock(stmt.then, scope, depth + 1),
        ...otherwise,
        `${pad}}`,
      ];
    }
    case 'barrier':
      return [`${pad}workgroupBarrier();`];
    case 'subgroup': {
      const value = printExpr(stmt.value, scope);
      const { dtype } = stmt.local;
      // The extremes of a subgroup pass over NaN.
      const call =
        dtype === 'f32' && extremes.has(stmt.monoid)
          ? `${helper(`ash_subgroup_${stmt.monoid}`, scope)}(${value})`
          : `${(dtype === 'bool' ? ofTruths : ofNumbers)[stmt.monoid]}(${value})`;
      return [`${pad}let ${name(stmt.local)} = ${call};`];
    }
    case 'uniform':
      return [`${pad}let ${name(stmt.local)} = ${printUniform(stmt, scope)};`];
    case 'leave':
      return [`${pad}if !${inParentheses(printExpr(stmt.condition, scope))} { break; }`];
    case 'part':
      return [`${pad}// ${describeKernel(stmt)}`, ...printBlock(stmt.body, scope, depth)];
    case 'tasks':
      throw new InternalError('tasks of threads in a WGSL kernel');
  }
}

/** A truth value is a word in memory. */
function printUniform({ local, buffer, offset }: Extract<Stmt, { kind: 'uniform' }>, scope: Scope): string {
  const value = `workgroupUniformLoad(&${printPlace(buffer, offset, scope)})`;
  return local.dtype === 'bool' ? `${value} != 0u` : value;
}

function arrayType(buffer: Buffer, scope: Scope): string {
  const lanes = arrayLanes(buffer, scope);
  return `array<${typeName(buffer.dtype, lanes)}, ${buffer.size / lanes}>`;
}

/** A vector goes to an array of vectors as one, to another element by element. */
function printStore({ buffer, offset, value }: Extract<Stmt, { kind: 'store' }>, scope: Scope): string[] {
  const text = printExpr(value, scope);
  const lanes = lanesOf(value);
  if (lanes === 1) return [`${printPlace(buffer, offset, scope)} = ${asWord(buffer, text, scope)};`];
  if (arrayLanes(buffer, scope) === lanes) return [`${printVectorPlace(buffer, offset, lanes, scope)} = ${text};`];
  return Array.from({ length: lanes }, (_, lane) => {
    const place = printPlace(buffer, add(offset, fixed(lane)), scope);
    return `${place} = ${asWord(buffer, `${asOperand(text)}[${lane}]`, scope)};`;
  });
}

function inParentheses(text: string): string {
  const operand = asOperand(text);
  return operand.startsWith('(') ? operand : `(${operand})`;
}

function asWord(buffer: Buffer, value: string, scope: Scope): string {
  const type = wordType(buffer, scope);
  return type === buffer.dtype ? value : `bitcast<${typeName(type)}>(${value})`;
}

const extremes: ReadonlySet<Monoid> = new Set(['max', 'min']);

const ofNumbers: Readonly<Record<Monoid, string>> = {
  sum: 'subgroupAdd',
  prod: 'subgroupMul',
  max: 'subgroupMax',
  min: 'subgroupMin',
  and: 'subgroupAnd',
  or: 'subgroupOr',
};
const ofTruths: Readonly<Record<Monoid, string>> = { ...ofNumbers, and: 'subgroupAll', or: 'subgroupAny' };

const operators: Readonly<Record<Monoid, string | null>> = {
  sum: '+',
  prod: '*',
  max: null,
  min: null,
  and: '&',
  or: '|',
};

/** `before ⊕ value` */
function combined(
  before: string,
  { dtype, lanes }: Pick<Local, 'dtype' | 'lanes'>,
  monoid: Monoid,
  value: string,
  scope: Scope,
): string {
  const operator = operators[monoid];
  if (operator !== null) return `${before} ${operator} ${asOperand(value)}`;
  if (dtype !== 'f32') return `${monoid}(${before}, ${value})`;
  return `${helper(`ash_${monoid}_f32`, scope, lanes)}(${before}, ${value})`;
}
