// Measuring what differs by little on machines that others use too: contenders take turns, the fastest run of each counts,
// and who is far behind stops early.

export interface Contender {
  /** Runs once and gives the seconds of it; whatever comes before a run, such as bringing caches into a state, is not counted. */
  measure(): number | Promise<number>;
}

/** An AbortSignal, as far as is needed: not every program's types have those. */
export interface Interruption {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}

/** Runs of each contender: at least the first number, at most the second, as many as fit in the seconds. */
const fewestRounds = 7;
const mostRounds = 40;
const secondsOfRace = 1.5;
/** From a round on, contenders that are so many times slower than the fastest are out. */
const hopeless: readonly (readonly [round: number, times: number])[] = [
  [2, 2],
  [4, 1.3],
  [7, 1.1],
];

/** Lets others in, an interruption among them, and ends with its reason where there was one. */
export async function pause(signal: Interruption | undefined): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  signal?.throwIfAborted();
}

/** Seconds of the fastest run of each contender, in their order; the first one is never out. */
export async function race(contenders: readonly Contender[], signal?: Interruption): Promise<number[]> {
  const fastest = contenders.map(() => Number.POSITIVE_INFINITY);
  let running = contenders.map((_, i) => i);
  for (const contender of contenders) await contender.measure();
  const end = performance.now() + secondsOfRace * 1000;
  for (let round = 1; round <= mostRounds && (round <= fewestRounds || performance.now() < end); round++) {
    await pause(signal);
    for (const i of running) fastest[i] = Math.min(fastest[i]!, await contenders[i]!.measure());
    const best = Math.min(...fastest);
    const allowed = hopeless.findLast(([from]) => round >= from)?.[1] ?? Number.POSITIVE_INFINITY;
    running = running.filter((i) => i === 0 || fastest[i]! <= best * allowed);
    if (running.length === 1) break;
  }
  return fastest;
}

const fewestPairs = 9;
const mostPairs = 61;
const secondsOfDuel = 2;
/** A gain smaller than this is noise. */
const leastGain = 0.02;

export interface Duel {
  /** Seconds of the fastest run. */
  readonly first: number;
  readonly second: number;
  /** True where the second is faster beyond noise: by its fastest run and by the median of pairs. */
  readonly won: boolean;
}

/** Two contenders in turn, the order changing from pair to pair. */
export async function duel(first: Contender, second: Contender, signal?: Interruption): Promise<Duel> {
  const times: [number, number][] = [];
  const end = performance.now() + secondsOfDuel * 1000;
  await first.measure();
  await second.measure();
  while (times.length < fewestPairs || (times.length < mostPairs && performance.now() < end)) {
    await pause(signal);
    if (times.length % 2 === 0) {
      const a = await first.measure();
      times.push([a, await second.measure()]);
    } else {
      const b = await second.measure();
      times.push([await first.measure(), b]);
    }
  }
  const [a, b] = [0, 1].map((side) => Math.min(...times.map((pair) => pair[side]!))) as [number, number];
  const ratios = times.map(([x, y]) => y / x).sort((x, y) => x - y);
  const limit = 1 - leastGain;
  return { first: a, second: b, won: b < a * limit && ratios[ratios.length >> 1]! < limit };
}
