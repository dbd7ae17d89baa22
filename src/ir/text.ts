// The text form of graphs: print(parse(print(f))) = print(f).

export { parseFunc, parseModule } from './text-parse.ts';
export { printFunc } from './text-print.ts';
