// Tables of numbers as CSV; gzip is unpacked.

import { parse } from 'csv-parse/browser/esm/sync';
import { badFile, type FileArray } from './array.ts';
import { unzipped } from './idx.ts';

export interface CsvOptions {
  /** The first line names the columns. Default: where its first cell is no number. */
  readonly header?: boolean;
  /** Default ','. */
  readonly delimiter?: string;
}

export interface CsvTable {
  readonly columns: readonly string[] | null;
  /** `[rows, columns]` of f64; an empty cell is NaN. */
  readonly array: FileArray;
}

/** Reads a table. Throws UserError with the line and column of a cell that is no number or a row of another length. */
export function readCsv(content: Uint8Array | string, options: CsvOptions = {}, file = 'csv'): CsvTable {
  const text = typeof content === 'string' ? content : new TextDecoder().decode(unzipped(content, file));
  let rows: string[][];
  try {
    rows = parse(text, {
      delimiter: options.delimiter ?? ',',
      skip_empty_lines: true,
      trim: true,
      bom: true,
      relax_column_count: true,
    }) as string[][];
  } catch (error) {
    badFile(file, error instanceof Error ? error.message : String(error));
  }
  const [first] = rows!;
  if (first === undefined) badFile(file, 'at least one row expected, the file is empty');
  const header = options.header ?? Number.isNaN(Number(first![0]));
  const body = header ? rows!.slice(1) : rows!;
  const width = first!.length;
  const data = new Float64Array(body.length * width);
  body.forEach((row, i) => {
    const line = i + (header ? 2 : 1);
    if (row.length !== width) badFile(file, `row ${line}: ${width} cells expected, ${row.length} found`);
    row.forEach((cell, column) => {
      const value = cell === '' ? Number.NaN : Number(cell);
      if (cell !== '' && Number.isNaN(value) && !/^nan$/i.test(cell))
        badFile(file, `row ${line}, column ${column + 1}: a number expected, ${JSON.stringify(cell)} found`);
      data[i * width + column] = value;
    });
  });
  return { columns: header ? first! : null, array: { shape: [body.length, width], dtype: 'f64', data } };
}
