// The text form of graphs, parsing. Types are inferred by the table's rules, so annotations after a colon may be left
// out; where they stand they are checked. Comments run from // to the end of the line.

import { attrsProblem } from './attr-kinds.ts';
import { inferTypes } from './builder.ts';
import { type SourcePosition, UserError } from './errors.ts';
import { type Func, makeFunc, type Node, type Parameter, parameter, type Result, Value } from './graph.ts';
import type { OpName } from './opattrs.ts';
import { opTable } from './ops/index.ts';
import type { OpTable } from './optable.ts';
import { type DType, dtypes, formatType, isCountable, sameType, type TensorType } from './types.ts';

interface Token {
  readonly kind: 'word' | 'value' | 'function' | 'number' | 'string' | 'mark' | 'end';
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

const pattern =
  /(?<space>[ \t\r\n]+|\/\/[^\n]*)|(?<value>%[A-Za-z0-9_.]+)|(?<function>@[A-Za-z_][A-Za-z0-9_.]*)|(?<number>-?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|inf\b|nan\b))|(?<word>[A-Za-z_][A-Za-z0-9_.]*)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<mark>[(){}[\],:=@])/y;

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let lineStart = 0;
  pattern.lastIndex = 0;
  while (pattern.lastIndex < text.length) {
    const start = pattern.lastIndex;
    const column = start - lineStart + 1;
    const match = pattern.exec(text);
    if (match === null)
      throw new UserError(`text form, line ${line}, column ${column}: unexpected ${JSON.stringify(text[start])}`);
    const [kind] = Object.entries(match.groups!).find(([, found]) => found !== undefined)!;
    if (kind !== 'space') tokens.push({ kind: kind as Token['kind'], text: match[0], line, column });
    for (let i = start; i < pattern.lastIndex; i++) {
      if (text[i] === '\n') {
        line++;
        lineStart = i + 1;
      }
    }
  }
  tokens.push({ kind: 'end', text: 'the end', line, column: text.length - lineStart + 1 });
  return tokens;
}

class Parser {
  readonly tokens: readonly Token[];
  readonly table: OpTable;
  readonly functions = new Map<string, Func>();
  position = 0;
  constructor(text: string, table: OpTable) {
    this.tokens = tokenize(text);
    this.table = table;
  }

  peek(): Token {
    return this.tokens[this.position]!;
  }

  fail(expected: string, token: Token = this.peek()): never {
    this.refuse(`${expected} expected, ${token.text} found`, token);
  }

  refuse(problem: string, token: Token): never {
    throw new UserError(`text form, line ${token.line}, column ${token.column}: ${problem}`);
  }

  accept(text: string): boolean {
    if (this.peek().text !== text || this.peek().kind === 'string') return false;
    this.position++;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.fail(text);
  }

  take(kind: Token['kind'], what: string): Token {
    const token = this.peek();
    if (token.kind !== kind) this.fail(what);
    this.position++;
    return token;
  }

  list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.accept(close)) return items;
    do items.push(item());
    while (this.accept(','));
    this.expect(close);
    return items;
  }

  name(): string {
    const token = this.peek();
    if (token.kind === 'string') {
      return this.quoted('a name');
    }
    return this.take('word', 'a name').text;
  }

  quoted(what: string): string {
    const token = this.take('string', what);
    try {
      return JSON.parse(token.text) as string;
    } catch {
      return this.fail(`${what} in quotes, with escapes as in JSON`, token);
    }
  }

  functionName(): string {
    if (this.accept('@')) return this.name();
    return this.take('function', 'a function name').text.slice(1);
  }

  type(): TensorType {
    const token = this.take('word', 'a type');
    if (!(dtypes as readonly string[]).includes(token.text)) this.fail(`one of ${dtypes.join(', ')}`, token);
    this.expect('[');
    const shape = this.list(']', () => Number(this.take('number', 'a dimension').text));
    if (shape.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) this.fail('dimensions of at least 0', token);
    if (!isCountable(shape)) this.refuse(`${token.text}[${shape}] has more elements than can be counted`, token);
    return { dtype: token.text as DType, shape };
  }

  attr(): unknown {
    const token = this.peek();
    if (this.accept('[')) return this.list(']', () => this.attr());
    if (token.kind === 'number') {
      this.position++;
      return Number(token.text.replace('inf', 'Infinity').replace('nan', 'NaN'));
    }
    if (token.kind === 'function' || token.text === '@') {
      const name = this.functionName();
      return this.functions.get(name) ?? this.fail('a function defined above', token);
    }
    const word = this.take('word', 'an attribute value').text;
    return word === 'null' ? null : word === 'true' ? true : word === 'false' ? false : word;
  }

  func(): Func {
    this.expect('func');
    const name = this.functionName();
    this.expect('(');
    const values = new Map<string, Value>();
    const define = (token: Token, value: Value): void => {
      if (values.has(token.text)) this.fail('a name that is not defined yet', token);
      values.set(token.text, value);
    };
    const parameters = this.list(')', (): Parameter => {
      const role = this.accept('state') ? 'state' : this.accept('weight') ? 'weight' : 'input';
      const token = this.take('value', 'a parameter');
      const alias = this.peek().kind === 'string' ? this.name() : token.text.slice(1);
      this.expect(':');
      const made = parameter(alias, this.type(), role);
      define(token, made.value);
      return made;
    });
    this.expect('{');
    while (!this.accept('return')) this.statement(values, define);
    const results: Result[] = [];
    do {
      const role = this.peek().text === 'update' && this.tokens[this.position + 1]!.text !== '=' ? 'update' : 'output';
      if (role === 'update') this.position++;
      const resultName = this.name();
      this.expect('=');
      results.push({ name: resultName, role, value: this.operand(values) });
    } while (this.accept(','));
    this.expect('}');
    const func = makeFunc(name, parameters, results);
    if (this.functions.has(name)) this.fail(`a function name other than @${name}`);
    this.functions.set(name, func);
    return func;
  }

  operand(values: ReadonlyMap<string, Value>): Value {
    const token = this.take('value', 'a value');
    return values.get(token.text) ?? this.fail('a value defined above', token);
  }

  statement(values: ReadonlyMap<string, Value>, define: (token: Token, value: Value) => void): void {
    const targets = [this.take('value', 'a value or return')];
    while (this.accept(',')) targets.push(this.take('value', 'a value'));
    this.expect('=');
    const opToken = this.take('word', 'an operation');
    if (!Object.hasOwn(this.table, opToken.text)) this.fail('an operation', opToken);
    const op = opToken.text as OpName;
    this.expect('(');
    const operands = this.list(')', () => this.operand(values));
    const attrs: Record<string, unknown> = {};
    if (this.accept('{')) {
      for (const [key, value] of this.list('}', (): [string, unknown] => {
        const key = this.name();
        this.expect('=');
        return [key, this.attr()];
      })) {
        attrs[key] = value;
      }
    }
    const annotated: TensorType[] = [];
    if (this.accept(':')) {
      do annotated.push(this.type());
      while (this.accept(','));
    }
    const source = this.source();
    const problem = attrsProblem(op, attrs);
    if (problem !== null) this.refuse(problem, opToken);
    const types = this.infer(op, operands, attrs, source, opToken);
    if (types.length !== targets.length) this.fail(`${types.length} results of ${op}`, opToken);
    annotated.forEach((type, i) => {
      if (types[i] === undefined || !sameType(type, types[i]))
        this.fail(`type ${types.map(formatType).join(', ')}`, opToken);
    });
    const results: Value[] = [];
    const node: Node = { op, operands, attrs: attrs as never, results, source };
    types.forEach((type, i) => {
      const text = targets[i]!.text.slice(1);
      const value = new Value(type, node, i, /^\d+$/.test(text) ? null : text);
      results.push(value);
      define(targets[i]!, value);
    });
  }

  infer(
    op: OpName,
    operands: readonly Value[],
    attrs: unknown,
    source: SourcePosition | null,
    token: Token,
  ): readonly TensorType[] {
    try {
      return inferTypes(this.table, op, operands, attrs as never, source);
    } catch (error) {
      if (error instanceof UserError) this.refuse(error.message, token);
      throw error;
    }
  }

  source(): SourcePosition | null {
    if (!this.accept('@')) return null;
    const file = this.quoted('a file name');
    this.expect(':');
    const line = Number(this.take('number', 'a line').text);
    this.expect(':');
    return { file, line, column: Number(this.take('number', 'a column').text) };
  }
}

/** Every function of the text in order. Throws UserError with line and column. */
export function parseModule(text: string, table: OpTable = opTable): Func[] {
  const parser = new Parser(text, table);
  while (parser.peek().kind !== 'end') parser.func();
  return [...parser.functions.values()];
}

/** The last function of the text; earlier ones are its callees. Throws UserError with line and column. */
export function parseFunc(text: string, table: OpTable = opTable): Func {
  const func = parseModule(text, table).at(-1);
  if (func === undefined) throw new UserError('text form: a function expected, nothing found');
  return func;
}
