// One process of the decoding part: compiles with weights from a file, looks whether a text read at once has the same logits and goes on
// with the same tokens, reads tokens in turn with reading as many bytes, and sends DecodingFigures.

import { statSync } from 'node:fs';
import { compile } from 'ashlar/node';
import { openReader } from './bandwidth.ts';
import type { DecodingFigures } from './decoding.ts';
import { median } from './measure.ts';
import { cacheBytes, decoding, generating, gpt2Network, gpt2Small, reading } from './models/gpt2-decoding.ts';
import { peakResidentBytes } from './resident.ts';

/** Tokens that were read before. */
const lengths = [16, 512, 1000] as const;
const turns = 15;
const runsPerTurn = 3;
const textLength = 24;

const [threads, file] = [Number(process.argv[2]), process.argv[3]!];
const run = await compile(decoding(gpt2Network()), { target: 'c', threads, weights: file });
const logits = new Float32Array(gpt2Small.vocabulary);
const read = (place: number): void =>
  void run({ token: Int32Array.of(7), place: Int32Array.of(place) }, { outputs: { logits } });
read(0);
const peakMegabytes = peakResidentBytes() / 1e6;
const difference = await differenceFromWhole();
const all = statSync(file).size;
const places = 4 * gpt2Small.context * gpt2Small.width;
const most = all + cacheBytes(gpt2Small, gpt2Small.context);
const reader = openReader(most, threads);
process.send!(lengths.map(figuresAt));

function figuresAt(length: number): DecodingFigures {
  const bytes = all - places + cacheBytes(gpt2Small, length + 1);
  const { tokens, reads } = inTurn(() => read(length), reader);
  const scaled = reads.map((time) => (time * bytes) / most);
  return {
    threads,
    length,
    milliseconds: median(tokens),
    megabytes: bytes / 1e6,
    reached: bytes / median(tokens) / 1e6,
    bandwidth: bytes / median(scaled) / 1e6,
    share: median(tokens.map((time, i) => scaled[i]! / time)),
    weightMegabytes: all / 1e6,
    peakMegabytes,
    difference,
  };
}

/**
 * The largest difference of a logit from that of the same text read at once, of the largest logit. The text is what a loop over tokens in one
 * program says from the first token on. Throws where the likeliest tokens are others.
 */
async function differenceFromWhole(): Promise<number> {
  const options = { target: 'c', threads, weights: file } as const;
  const generate = await compile(generating(gpt2Network(), textLength), options);
  const tokens = generate({ token: Int32Array.of(7), place: Int32Array.of(0) }).tokens as Int32Array;
  const text = Int32Array.of(7, ...tokens.subarray(0, textLength - 1));
  const readWhole = await compile(reading(gpt2Network(), textLength), options);
  const whole = readWhole({ text }).logits as Float32Array;
  let [difference, size] = [0, 0];
  for (let place = 0; place < textLength; place++) {
    run({ token: text.subarray(place, place + 1), place: Int32Array.of(place) }, { outputs: { logits } });
    const wanted = whole.subarray(place * logits.length, (place + 1) * logits.length);
    const likeliest = [logits, wanted].map((row) => row.indexOf(row.reduce((most, logit) => Math.max(most, logit))));
    if (likeliest.some((token) => token !== tokens[place]))
      throw new Error(
        `after token ${place} the likeliest one is ${tokens[place]} in a loop, ${likeliest} by itself and at once`,
      );
    for (let i = 0; i < logits.length; i++) {
      difference = Math.max(difference, Math.abs(logits[i]! - wanted[i]!));
      size = Math.max(size, Math.abs(wanted[i]!));
    }
  }
  if (!(difference <= 1e-3 * size)) throw new Error(`logits differ by ${difference} of ${size}`);
  return difference / size;
}

/** The fastest milliseconds of each turn. */
function inTurn(token: () => void, other: () => void): { tokens: number[]; reads: number[] } {
  const fastest = (once: () => void): number =>
    Math.min(
      ...Array.from({ length: runsPerTurn }, () => {
        const start = performance.now();
        once();
        return performance.now() - start;
      }),
    );
  const [tokens, reads]: [number[], number[]] = [[], []];
  for (let turn = -1; turn < turns; turn++) {
    const times = [fastest(token), fastest(other)] as const;
    if (turn < 0) continue;
    tokens.push(times[0]);
    reads.push(times[1]);
  }
  return { tokens, reads };
}
