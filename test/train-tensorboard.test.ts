// Event files for TensorBoard, read back by a decoder of their own: TFRecords with checksums counted bit by bit, and messages by
// protobufjs' parser of TensorFlow's published definitions, none of which the writer uses.

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode as decodePng } from 'fast-png';
import protobuf from 'protobufjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventWriter } from '../src/io/event-writer.ts';
import { UserError } from '../src/ir/errors.ts';
import { csvLog } from '../src/train/csv-log.ts';
import { fit } from '../src/train/fit.ts';
import type { StateAccess } from '../src/train/model.ts';
import type { EpochRecord } from '../src/train/position.ts';
import { tensorBoardLog } from '../src/train/tensorboard-log.ts';
import { linearModel, plane } from './train-model.ts';

/** From tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto: what the writer uses. */
const definitions = `
syntax = "proto3";
message Event {
  double wall_time = 1;
  int64 step = 2;
  oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
}
message SessionLog {
  enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; CHECKPOINT = 3; }
  SessionStatus status = 1;
}
message HistogramProto {
  double min = 1; double max = 2; double num = 3; double sum = 4; double sum_squares = 5;
  repeated double bucket_limit = 6 [packed = true];
  repeated double bucket = 7 [packed = true];
}
message Summary {
  message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
  message Value {
    string tag = 1;
    oneof value { float simple_value = 2; Image image = 4; HistogramProto histo = 5; }
  }
  repeated Value value = 1;
}`;
const Event = protobuf.parse(definitions, { keepCase: true }).root.lookupType('Event');

interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly num: number;
  readonly sum: number;
  readonly sum_squares: number;
  readonly bucket_limit: readonly number[];
  readonly bucket: readonly number[];
}
interface ReadValue {
  readonly tag: string;
  readonly simple_value?: number;
  readonly histo?: Histogram;
  readonly image?: { height: number; width: number; colorspace: number; encoded_image_string: Uint8Array };
}
interface ReadEvent {
  readonly wall_time: number;
  readonly step: number;
  readonly file_version?: string;
  readonly session_log?: { readonly status: string };
  readonly summary?: { readonly value: readonly ReadValue[] };
}

/** CRC32C by long division, a bit at a time. */
function crc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const out = (remainder ^ (byte >> bit)) & 1;
      remainder = (remainder >>> 1) ^ (out ? 0x82f63b78 : 0);
    }
  }
  return ~remainder >>> 0;
}
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

/** The events of a file, up to the first record that is not whole. */
function readEvents(path: string): ReadEvent[] {
  const bytes = readFileSync(path);
  const events: ReadEvent[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.readUInt32LE(at + 8)).toBe(masked(crc32c(bytes.subarray(at, at + 8))));
    if (at + 16 + length > bytes.length) break;
    const body = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(masked(crc32c(body)));
    events.push(Event.toObject(Event.decode(body), { longs: Number, enums: String, defaults: true }) as ReadEvent);
    at += 16 + length;
  }
  return events;
}

const eventsIn = (directory: string): ReadEvent[] =>
  readdirSync(directory)
    .sort()
    .flatMap((file) => readEvents(join(directory, file)));
const scalarsIn = (directory: string): [tag: string, step: number, value: number][] =>
  eventsIn(directory).flatMap(({ step, summary }) =>
    (summary?.value ?? []).flatMap(({ tag, simple_value }): [string, number, number][] =>
      simple_value === undefined ? [] : [[tag, step, simple_value]],
    ),
  );

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-events-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a file of events', () => {
  it('the checksum is the one of RFC 3720', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
  });

  it('begins as every file of TensorFlow does: 24 bytes that say brain.Event:2', () => {
    const before = Date.now() / 1000;
    const { path } = eventWriter(folder);
    expect(path).toMatch(/\/events\.out\.tfevents\.\d{10}\.0000\.[^/]+\.\d+$/);
    expect(readFileSync(path).subarray(0, 12).toString('hex')).toBe('1800000000000000a37f4b22');
    const [version, ...rest] = readEvents(path);
    expect(rest).toEqual([]);
    expect(version).toMatchObject({ file_version: 'brain.Event:2' });
    expect(version!.wall_time).toBeGreaterThanOrEqual(before);
    expect(version!.wall_time).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it('holds scalars as f32 at their steps, what is not finite too', () => {
    const writer = eventWriter(folder);
    writer.scalar('loss', 0.1, 0);
    writer.scalar('loss', Number.NaN, 2 ** 40);
    writer.scalar('größe/a b', Number.NEGATIVE_INFINITY, -1);
    expect(scalarsIn(folder)).toEqual([
      ['loss', 0, Math.fround(0.1)],
      ['loss', 2 ** 40, Number.NaN],
      ['größe/a b', -1, Number.NEGATIVE_INFINITY],
    ]);
  });

  it('holds histograms: equal buckets from the least to the greatest, which hold every value', () => {
    const writer = eventWriter(folder);
    const values = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i));
    writer.histogram('weights', values, 3);
    writer.histogram('all alike', [2, 2], 3);
    const found = eventsIn(folder).flatMap(({ summary }) => summary?.value ?? []);
    const [histo, alike] = found.map(({ histo }) => histo!) as [Histogram, Histogram];
    const sum = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((total, number) => total + number, 0);
    expect([histo.min, histo.max, histo.num]).toEqual([Math.min(...values), Math.max(...values), 1000]);
    expect(histo.sum).toBeCloseTo(sum(values), 10);
    expect(histo.sum_squares).toBeCloseTo(sum(values.map((value) => value * value)), 3);
    expect(histo.bucket.length).toBe(30);
    histo.bucket.forEach((count, i) => {
      const left = i === 0 ? Number.NEGATIVE_INFINITY : histo.bucket_limit[i - 1]!;
      const right = i === 29 ? Number.POSITIVE_INFINITY : histo.bucket_limit[i]!;
      expect(count).toBe(values.filter((value) => value >= left && value < right).length);
    });
    expect(histo.bucket_limit.at(-1)).toBe(histo.max);
    expect([alike.min, alike.max, sum(alike.bucket), alike.bucket_limit.at(-1)]).toEqual([2, 2, 2, 2]);
  });

  it.each([
    [[2, 3], 1],
    [[2, 3, 3], 3],
    [[1, 1, 4], 4],
  ])('holds images of shape %j as PNG', (shape, colorspace) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const data = Array.from({ length: count }, (_, i) => (2 * i) / count - 0.5);
    eventWriter(folder).image('filters', { shape, data }, 7);
    const [, { step, summary }] = eventsIn(folder) as [ReadEvent, ReadEvent & { summary: { value: ReadValue[] } }];
    const { height, width, encoded_image_string } = summary.value[0]!.image!;
    expect([step, height, width, summary.value[0]!.image!.colorspace]).toEqual([7, shape[0], shape[1], colorspace]);
    const png = decodePng(encoded_image_string);
    expect([png.height, png.width, png.channels]).toEqual([shape[0], shape[1], colorspace]);
    expect([...png.data]).toEqual(data.map((value) => Math.round(255 * Math.max(0, Math.min(1, value)))));
  });

  it('refuses what cannot be shown, and says what it is', () => {
    const writer = eventWriter(folder);
    const length = readFileSync(writer.path).length;
    expect(() => writer.histogram('w', [1, Number.NaN], 0)).toThrow(
      "histogram 'w': numbers expected, element 1 is NaN",
    );
    expect(() => writer.histogram('w', [], 0)).toThrow("histogram 'w': at least one value expected");
    expect(() => writer.image('i', { shape: [2, 2], data: [1] }, 0)).toThrow("image 'i': 4 elements expected, 1 given");
    expect(() => writer.image('i', { shape: [1, 2, 2], data: [1, 1, 1, 1] }, 0)).toThrow(/1, 3 or 4.*\[1,2,2\] given/);
    expect(() => writer.scalar('s', 1, 0.5)).toThrow("an event's step: a whole number expected, 0.5 given");
    expect(readFileSync(writer.path).length).toBe(length);
    writeFileSync(join(folder, 'file'), '');
    expect(() => eventWriter(join(folder, 'file'))).toThrow(UserError);
  });

  it('is read up to a record that a crash has torn; the next writer has a file of its own', () => {
    const first = eventWriter(folder);
    first.scalar('loss', 1, 0);
    appendFileSync(first.path, Buffer.from('1800000000000000a37f4b220901', 'hex'));
    const second = eventWriter(folder, { restartAt: 1 });
    second.scalar('loss', 2, 1);
    expect([first.path, second.path].sort()).toEqual([first.path, second.path]);
    expect(scalarsIn(folder)).toEqual([
      ['loss', 0, 1],
      ['loss', 1, 2],
    ]);
    expect(eventsIn(folder).filter(({ session_log }) => session_log !== undefined)).toMatchObject([
      { step: 1, session_log: { status: 'START' } },
    ]);
  });
});

const record = (epoch: number, loss: number): EpochRecord => ({
  epoch,
  step: 10 * epoch,
  seconds: 0.5,
  training: { loss },
  validation: { loss: loss + 1 },
});

describe('the training log for TensorBoard', () => {
  it('is written by `fit` beside other logs', async () => {
    const { step } = linearModel(4);
    const [csv, runs] = [join(folder, 'log.csv'), join(folder, 'runs')];
    const { history } = await fit({
      step,
      data: plane(24),
      batchSize: 4,
      epochs: 2,
      log: [csvLog(csv), tensorBoardLog(runs, { histograms: { state: step.state, names: ['weight'] } })],
    });
    expect(readFileSync(csv, 'utf8').split('\n').length).toBe(4);
    expect(scalarsIn(join(runs, 'training')).filter(([tag]) => tag === 'loss')).toEqual(
      history.map(({ step, training }) => ['loss', step, Math.fround(training.loss!)]),
    );
  });

  it('writes the metrics of training and validation as two runs, each at the step that ends the epoch', async () => {
    const log = tensorBoardLog(folder);
    log.start([]);
    await log.epoch(record(1, 0.5));
    await log.epoch({ ...record(2, 0.25), validation: null });
    expect(scalarsIn(join(folder, 'training'))).toEqual([
      ['loss', 10, 0.5],
      ['seconds per epoch', 10, 0.5],
      ['loss', 20, 0.25],
      ['seconds per epoch', 20, 0.5],
    ]);
    expect(scalarsIn(join(folder, 'validation'))).toEqual([['loss', 10, 1.5]]);
  });

  it('a resumed run goes on after the step of its checkpoint, whatever was written after that', async () => {
    const crashed = tensorBoardLog(folder);
    crashed.start([]);
    await crashed.epoch(record(1, 4));
    await crashed.epoch(record(2, 3));
    const resumed = tensorBoardLog(folder);
    resumed.start([record(1, 4)]);
    await resumed.epoch(record(2, 2));
    const events = eventsIn(join(folder, 'training'));
    const restarts = events.filter(({ session_log }) => session_log !== undefined);
    expect(restarts).toMatchObject([{ step: 11, session_log: { status: 'START' } }]);
    const losses = scalarsIn(join(folder, 'training')).filter(([tag]) => tag === 'loss');
    expect(losses.map(([, step, value]) => [step, value])).toEqual([
      [10, 4],
      [20, 3],
      [20, 2],
    ]);
  });

  it('in a folder that has no events yet it writes the epochs that a resumed run has behind it', () => {
    const log = tensorBoardLog(folder);
    log.start([record(1, 4), record(2, 3)]);
    expect(scalarsIn(join(folder, 'validation'))).toEqual([
      ['loss', 10, 5],
      ['loss', 20, 4],
    ]);
  });

  it('shows the variables of floats as histograms, and what a user adds', async () => {
    const state: StateAccess = {
      names: () => ['weight', 'step'],
      type: (name) => (name === 'step' ? { dtype: 'i32', shape: [] } : { dtype: 'f32', shape: [2] }),
      get: async () => Float32Array.of(1, 3),
      set: () => undefined,
    };
    const log = tensorBoardLog(folder, { histograms: { state } });
    expect(() => log.writer()).toThrow('events are written once `fit` has begun');
    log.start([]);
    await log.epoch(record(1, 0.5));
    log.writer().image('digit', { shape: [1, 1], data: [1] }, 10);
    const values = eventsIn(join(folder, 'training')).flatMap(({ summary }) => summary?.value ?? []);
    expect(values.map(({ tag }) => tag)).toEqual(['loss', 'seconds per epoch', 'weight', 'digit']);
    expect(values[2]!.histo).toMatchObject({ min: 1, max: 3, num: 2 });
  });
});
