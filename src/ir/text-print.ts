// The text form of graphs, printing. Whatever is printed parses back to the same function: names are the user's where
// they are unique identifiers, else numbers; numbers are the shortest that read back exactly.

import { type Func, type Node, nestedFuncs, type Parameter, type Result, type Value } from './graph.ts';
import { formatType } from './types.ts';

/** `@f` and every function it calls, callees first. */
export function printFunc(func: Func): string {
  const callees = new Map<Func, string>();
  collectCallees(func, callees, new Set([func.name]));
  return [
    ...[...callees].map(([callee, name]) => printOne(callee, name, callees)),
    printOne(func, func.name, callees),
  ].join('\n\n');
}

function collectCallees(func: Func, callees: Map<Func, string>, taken: Set<string>): void {
  for (const callee of func.nodes.flatMap(nestedFuncs)) {
    if (callees.has(callee)) continue;
    collectCallees(callee, callees, taken);
    let name = callee.name;
    for (let n = 1; taken.has(name); n++) name = `${callee.name}_${n}`;
    taken.add(name);
    callees.set(callee, name);
  }
}

const identifier = /^[A-Za-z_][A-Za-z0-9_.]*$/;

/** A name as the text form spells it: bare where it is an identifier, else quoted. */
export function printName(name: string): string {
  return identifier.test(name) ? name : JSON.stringify(name);
}

function nameValues(func: Func): Map<Value, string> {
  const names = new Map<Value, string>();
  const taken = new Set<string>();
  const take = (value: Value, wanted: string | null): boolean => {
    if (wanted === null || !identifier.test(wanted) || taken.has(wanted)) return false;
    taken.add(wanted);
    names.set(value, wanted);
    return true;
  };
  for (const { value, name } of func.parameters) take(value, name);
  let next = 0;
  const number = (value: Value): void => {
    names.set(value, String(next++));
  };
  for (const { value } of func.parameters) if (!names.has(value)) number(value);
  for (const node of func.nodes) for (const value of node.results) if (!take(value, value.name)) number(value);
  return names;
}

function printOne(func: Func, name: string, callees: ReadonlyMap<Func, string>): string {
  const names = nameValues(func);
  const spell = (value: Value): string => `%${names.get(value) ?? '?'}`;
  const parameters = func.parameters.map((parameter) => printParameter(parameter, spell));
  const lines = func.nodes.map((node) => `  ${printNode(node, spell, callees)}`);
  const results = func.results.map((result) => printResult(result, spell));
  return `func @${printName(name)}(${parameters.join(', ')}) {\n${[...lines, `  return ${results.join(', ')}`].join('\n')}\n}`;
}

/** The parameter's name is its value's; a name that could not be spelt after % follows in quotes. */
function printParameter({ name, role, value }: Parameter, spell: (value: Value) => string): string {
  const spelt = spell(value);
  const alias = spelt === `%${name}` ? '' : ` ${JSON.stringify(name)}`;
  return `${role === 'input' ? '' : `${role} `}${spelt}${alias}: ${formatType(value.type)}`;
}

function printResult({ name, role, value }: Result, spell: (value: Value) => string): string {
  return `${role === 'update' ? 'update ' : ''}${printName(name)} = ${spell(value)}`;
}

function printNode(node: Node, spell: (value: Value) => string, callees: ReadonlyMap<Func, string>): string {
  const attrs = Object.entries(node.attrs).map(([key, value]) => `${key}=${printAttr(value, callees)}`);
  const types = node.results.map((value) => formatType(value.type)).join(', ');
  const source =
    node.source === null ? '' : ` @ ${JSON.stringify(node.source.file)}:${node.source.line}:${node.source.column}`;
  const braces = attrs.length === 0 ? '' : ` {${attrs.join(', ')}}`;
  return `${node.results.map(spell).join(', ')} = ${node.op}(${node.operands.map(spell).join(', ')})${braces} : ${types}${source}`;
}

function printAttr(value: unknown, callees: ReadonlyMap<Func, string>): string {
  if (typeof value === 'number' || typeof value === 'bigint') return printNumber(Number(value));
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => printAttr(item, callees)).join(',')}]`;
  if (ArrayBuffer.isView(value)) {
    return `[${Array.from(value as unknown as ArrayLike<number>, (item) => printNumber(Number(item))).join(',')}]`;
  }
  return `@${printName(callees.get(value as Func) ?? (value as Func).name)}`;
}

function printNumber(value: number): string {
  if (Object.is(value, -0)) return '-0';
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  return Number.isNaN(value) ? 'nan' : String(value);
}
