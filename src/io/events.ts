// The events that TensorBoard reads: protobuf messages (tensorflow/core/util/event.proto and framework/summary.proto) in TFRecords,
// each a length and bytes, both with a checksum, so that a reader knows a torn record (tensorflow/core/lib/io/record_writer.h).

import { encode as encodePng } from 'fast-png';
import protobuf from 'protobufjs/minimal.js';
import { UserError } from '../ir/errors.ts';

/** Row-major elements of an image `[height, width]` or `[height, width, channels]`, from 0 to 1; what lies outside is cut to that. */
export interface EventImage {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** What one event says. */
export type EventContent =
  | { readonly kind: 'version' }
  /** The run begins again at the event's step: what earlier events say of this step and later ones no longer counts. */
  | { readonly kind: 'restart' }
  | { readonly kind: 'scalar'; readonly tag: string; readonly value: number }
  | { readonly kind: 'histogram'; readonly tag: string; readonly values: ArrayLike<number> }
  | { readonly kind: 'image'; readonly tag: string; readonly image: EventImage };

const wireType = { varint: 0, eightBytes: 1, bytes: 2, fourBytes: 5 };
const tagOf = (field: number, type: number): number => field * 8 + type;

/** The record of one event. `wallTime` is in seconds since 1970. Throws UserError for values that cannot be shown. */
export function eventRecord(content: EventContent, step: number, wallTime: number): Uint8Array {
  const event = protobuf.Writer.create();
  event.uint32(tagOf(1, wireType.eightBytes)).double(wallTime);
  if (step !== 0) event.uint32(tagOf(2, wireType.varint)).int64(step);
  if (content.kind === 'version') {
    event.uint32(tagOf(3, wireType.bytes)).string('brain.Event:2');
  } else if (content.kind === 'restart') {
    const start = 1;
    event.uint32(tagOf(7, wireType.bytes)).fork();
    event.uint32(tagOf(1, wireType.varint)).int32(start).ldelim();
  } else {
    const [summary, value] = [tagOf(5, wireType.bytes), tagOf(1, wireType.bytes)];
    event.uint32(summary).fork().uint32(value).fork();
    event.uint32(tagOf(1, wireType.bytes)).string(content.tag);
    if (content.kind === 'scalar') event.uint32(tagOf(2, wireType.fourBytes)).float(content.value);
    else if (content.kind === 'image') writeImage(event, content.tag, content.image);
    else writeHistogram(event, content.tag, content.values);
    event.ldelim().ldelim();
  }
  return tfRecord(event.finish());
}

function writeImage(event: protobuf.Writer, tag: string, { shape, data }: EventImage): void {
  const [height, width, channels = 1] = shape;
  const isImage = shape.length === 2 || shape.length === 3;
  if (!isImage || !(height! > 0 && width! > 0) || ![1, 3, 4].includes(channels))
    throw new UserError(`image '${tag}': [height, width] or [height, width, 1, 3 or 4] expected, [${shape}] given`);
  const size = height! * width! * channels;
  if (data.length !== size) throw new UserError(`image '${tag}': ${size} elements expected, ${data.length} given`);
  const pixels = Uint8Array.from(data, (element) => Math.round(255 * Math.max(0, Math.min(1, element))));
  event.uint32(tagOf(4, wireType.bytes)).fork();
  event.uint32(tagOf(1, wireType.varint)).int32(height!);
  event.uint32(tagOf(2, wireType.varint)).int32(width!);
  event.uint32(tagOf(3, wireType.varint)).int32(channels);
  const png = encodePng({ width: width!, height: height!, channels: channels as 1 | 3 | 4, depth: 8, data: pixels });
  event.uint32(tagOf(4, wireType.bytes)).bytes(png).ldelim();
}

/** Buckets of a histogram, as many as TensorBoard's own writer makes. */
const buckets = 30;

/** The counts of values in equal buckets from the least to the greatest. */
function writeHistogram(event: protobuf.Writer, tag: string, values: ArrayLike<number>): void {
  if (values.length === 0) throw new UserError(`histogram '${tag}': at least one value expected`);
  let [least, greatest, sum, squares] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) throw new UserError(`histogram '${tag}': numbers expected, element ${i} is ${value}`);
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
    sum += value;
    squares += value * value;
  }
  const width = (greatest - least) / buckets;
  const counts = new Array<number>(buckets).fill(0);
  for (let i = 0; i < values.length; i++)
    counts[width > 0 ? Math.min(buckets - 1, Math.floor((values[i]! - least) / width)) : buckets - 1]!++;
  const limits = counts.map((_, i) => (i === buckets - 1 ? greatest : least + (i + 1) * width));
  event.uint32(tagOf(5, wireType.bytes)).fork();
  for (const [i, number] of [least, greatest, values.length, sum, squares].entries())
    event.uint32(tagOf(i + 1, wireType.eightBytes)).double(number);
  for (const [field, numbers] of [
    [6, limits],
    [7, counts],
  ] as const) {
    event.uint32(tagOf(field, wireType.bytes)).fork();
    for (const number of numbers) event.double(number);
    event.ldelim();
  }
  event.ldelim();
}

/** Bytes as a record: their length and its checksum, the bytes and theirs; all numbers little-endian. */
function tfRecord(bytes: Uint8Array): Uint8Array {
  const record = new Uint8Array(12 + bytes.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(bytes.length), true);
  view.setUint32(8, maskedChecksum(record.subarray(0, 8)), true);
  record.set(bytes, 12);
  view.setUint32(12 + bytes.length, maskedChecksum(bytes), true);
  return record;
}

/** A checksum that may stand among bytes of which checksums are taken (tensorflow/core/lib/hash/crc32c.h). */
function maskedChecksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** The Castagnoli polynomial, bits reversed (RFC 3720, section 12.1). */
const polynomial = 0x82f63b78;
const crcOfByte = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
  return crc;
});

/** CRC32C. Node's zlib has only the CRC of another polynomial. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcOfByte[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
