// What the training loop leaves on disk and on the terminal: the CSV log and the progress bar.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeNpyFile, writeSafetensorsFile } from '../src/io/files.ts';
import { writeAside } from '../src/io/write-aside.ts';
import { UserError } from '../src/ir/errors.ts';
import { csvLog } from '../src/train/csv-log.ts';
import { fit } from '../src/train/fit.ts';
import { progressBar } from '../src/train/progress-bar.ts';
import { linearModel, plane } from './train-model.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-train-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a file written aside', () => {
  it('replaces the old one whole and leaves nothing beside it', () => {
    const path = join(folder, 'deep', 'file');
    writeAside(path, 'old');
    writeAside(path, Uint8Array.of(110, 101, 119));
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(join(folder, 'deep'))).toEqual(['file']);
  });

  it('that cannot take its place leaves the old one and nothing else', () => {
    const path = join(folder, 'taken');
    writeAside(join(path, 'inside'), 'a folder is in the way');
    expect(() => writeAside(path, 'new')).toThrow(`${path} is a folder`);
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  it('that cannot be written leaves no folder that was made for it', () => {
    const half = function* (): Iterable<Uint8Array> {
      yield Uint8Array.of(1);
      throw new Error('no space left');
    };
    mkdirSync(join(folder, 'old'));
    expect(() => writeAside(join(folder, 'old', 'new', 'deep', 'file'), half())).toThrow('no space left');
    expect(readdirSync(folder, { recursive: true })).toEqual(['old']);
  });

  it.each([
    ['writeNpyFile', (path: string) => writeNpyFile(path, { shape: [1], dtype: 'f32', data: Float32Array.of(1) })],
    ['writeSafetensorsFile', (path: string) => writeSafetensorsFile(path, [])],
  ])('by %s is named where it cannot be written', (_name, write) => {
    expect(() => write(folder)).toThrow(UserError);
    expect(() => write(folder)).toThrow(`${folder} cannot be written: ${folder} is a folder`);
  });
});

describe('the CSV log', () => {
  const record = (epoch: number) => ({
    epoch,
    step: epoch * 6,
    seconds: 0.25,
    training: { loss: 1 / epoch },
    validation: { loss: 2, 'right, or so': 0.5 },
  });

  it('has a row for each epoch under a header with every metric', () => {
    const path = join(folder, 'log.csv');
    const log = csvLog(path);
    log.start([]);
    log.epoch(record(1));
    log.epoch(record(2));
    expect(readFileSync(path, 'utf8')).toBe(
      'epoch,step,seconds,loss,validation_loss,"validation_right, or so"\n1,6,0.25,1,2,0.5\n2,12,0.25,0.5,2,0.5\n',
    );
  });

  it('of a resumed run goes on after the rows that the run has behind it', () => {
    const path = join(folder, 'log.csv');
    writeFileSync(path, 'rows of epochs after the checkpoint\n');
    const log = csvLog(path);
    log.start([record(1)]);
    log.epoch(record(2));
    expect(readFileSync(path, 'utf8').split('\n').slice(1)).toEqual(['1,6,0.25,1,2,0.5', '2,12,0.25,0.5,2,0.5', '']);
  });

  it('says which file it cannot write', () => {
    expect(() => csvLog(join(folder, 'missing', '\0')).start([])).toThrow(/the training log .* cannot be written/);
  });
});

describe('the progress bar', () => {
  const train = (isTTY: boolean): Promise<string> => {
    const stream = Object.assign(new PassThrough(), {
      isTTY,
      columns: 100,
      cursorTo: () => true,
      clearLine: () => true,
    });
    const model = linearModel(8);
    const progress = progressBar(stream as unknown as NodeJS.WriteStream);
    const options = { data: plane(40), batchSize: 8, epochs: 2, validation: 0.4 };
    return fit({ ...options, step: model.step, evaluate: model.evaluate, progress }).then(
      () => stream.read()?.toString() ?? '',
    );
  };

  it('shows each epoch with its metrics on a terminal', async () => {
    const shown = await train(true);
    expect(shown).toMatch(/epoch 1\/2 .*3\/3 {2}loss \d/);
    expect(shown).toMatch(/epoch 2\/2 .*3\/3 {2}loss \S+ {2}validation: loss \S+ {2}close \S+/);
  });

  it('writes nothing where there is no terminal', async () => {
    expect(await train(false)).toBe('');
  });
});
