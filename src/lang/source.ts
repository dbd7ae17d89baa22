// Where in the user's code a value is made: the first frame of the stack outside Ashlar's own files.

import type { SourcePosition } from '../ir/errors.ts';

/** The folder of Ashlar's own modules, sources or built: frames inside it are not the user's. */
export const ownFolder = pathOf(import.meta.url).replace(/((lang|chunks)\/)?[^/]*$/, '');
const framesLookedAt = 24;
let enabled = true;

/** Switches the capture of positions off (or on), for graphs of very many nodes: a stack trace costs more than a node. */
export function captureSources(on: boolean): void {
  enabled = on;
}

/** A module's place as a path: Node names modules by URL, in which a space is %20, or by path. */
function pathOf(place: string): string {
  const named = place.replace(/\?.*$/, '');
  return named.startsWith('file://') ? decodeURIComponent(named.slice('file://'.length)) : named;
}

/** The position that expressions made now have, where it is not a line of TypeScript: a node of an imported file. */
let given: SourcePosition | null = null;

/** Gives every expression that `make` makes this position. */
export function withSource<T>(source: SourcePosition, make: () => T): T {
  const before = given;
  given = source;
  try {
    return make();
  } finally {
    given = before;
  }
}

interface StackHolder {
  stack?: string;
}
type ErrorWithLimit = ErrorConstructor & { stackTraceLimit?: number };

/** The user's position, or null where the stack does not tell. */
export function callerPosition(): SourcePosition | null {
  if (given !== null) return given;
  if (!enabled) return null;
  const holder: StackHolder = {};
  const ErrorClass = Error as ErrorWithLimit & { captureStackTrace?: (target: object) => void };
  const limit = ErrorClass.stackTraceLimit;
  ErrorClass.stackTraceLimit = framesLookedAt;
  if (ErrorClass.captureStackTrace !== undefined) ErrorClass.captureStackTrace(holder);
  else holder.stack = new Error().stack ?? '';
  const text = holder.stack ?? '';
  if (limit !== undefined) ErrorClass.stackTraceLimit = limit;
  return firstForeign(text);
}

/** `at name (place:line:column)`; a place may hold spaces and parentheses itself. */
const namedFrame = /^at .*? \((.+):(\d+):(\d+)\)$/;
/** `at place:line:column`, or `name@place:line:column` of engines other than V8. */
const plainFrame = /^(?:at (?:async )?|[^@]*@)(.+):(\d+):(\d+)$/;
const unknownPlace = /^(?:node:|native|eval at |<anonymous>)/;

function firstForeign(stack: string): SourcePosition | null {
  for (const line of stack.split('\n')) {
    const match = namedFrame.exec(line.trim()) ?? plainFrame.exec(line.trim());
    if (match === null || unknownPlace.test(match[1]!)) continue;
    const file = pathOf(match[1]!);
    if (!file.startsWith(ownFolder)) return { file: relative(file), line: Number(match[2]), column: Number(match[3]) };
  }
  return null;
}

/** Relative to the working directory where there is one, so that emitted code does not depend on where a project lies. */
function relative(file: string): string {
  const { process } = globalThis as { process?: { cwd?: () => string } };
  const directory = process?.cwd?.();
  return directory !== undefined && file.startsWith(`${directory}/`) ? file.slice(directory.length + 1) : file;
}
