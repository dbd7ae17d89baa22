// Measuring what differs by little on machines that others use too: contenders take turns, the fastest run of each counts,
// and who is far behind stops early.

export interface Contender {
  run(): void;
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

function seconds(run: () => void): number {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1000;
}

/** Seconds of the fastest run of each contender, in their order; the first one is never out. `settle` comes before every run. */
export function race(contenders: readonly Contender[], settle: () => void): number[] {
  const fastest = contenders.map(() => Number.POSITIVE_INFINITY);
  let running = contenders.map((_, i) => i);
  for (const { run } of contenders) run();
  const end = performance.now() + secondsOfRace * 1000;
  for (let round = 1; round <= mostRounds && (round <= fewestRounds || performance.now() < end); round++) {
    for (const i of running) {
      settle();
      fastest[i] = Math.min(fastest[i]!, seconds(contenders[i]!.run));
    }
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
export function duel(first: Contender, second: Contender, settle: () => void): Duel {
  const times: [number, number][] = [];
  const end = performance.now() + secondsOfDuel * 1000;
  const time = (contender: Contender): number => {
    settle();
    return seconds(() => contender.run());
  };
  first.run();
  second.run();
  while (times.length < fewestPairs || (times.length < mostPairs && performance.now() < end)) {
    if (times.length % 2 === 0) {
      const a = time(first);
      times.push([a, time(second)]);
    } else {
      const b = time(second);
      times.push([time(first), b]);
    }
  }
  const [a, b] = [0, 1].map((side) => Math.min(...times.map((pair) => pair[side]!))) as [number, number];
  const ratios = times.map(([x, y]) => y / x).sort((x, y) => x - y);
  const limit = 1 - leastGain;
  return { first: a, second: b, won: b < a * limit && ratios[ratios.length >> 1]! < limit };
}
