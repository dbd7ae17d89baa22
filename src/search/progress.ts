// One bar for a search, on a terminal only: a log file or a pipe gets nothing.

import { Presets, SingleBar } from 'cli-progress';
import type { TerminalStream } from '../io/terminal-stream.ts';
import type { SearchProgress } from './search.ts';

/** `Bayesian ████████░░░░ 23/45  best 0.1234 (trial 17), 2 failed` */
export function progressBar(stream: TerminalStream = process.stderr): SearchProgress {
  if (!stream.isTTY) return { start() {}, trial() {}, stop() {} };
  let bar: SingleBar | null = null;
  return {
    start(strategy, trials) {
      const format = `${strategy} {bar} {value}/{total}  {found}`;
      const terminal = stream as NodeJS.WriteStream;
      bar = new SingleBar({ stream: terminal, format, barsize: 24, fps: 10, hideCursor: true }, Presets.shades_classic);
      bar.start(trials, 0, { found: '' });
    },
    trial(done, best, failed) {
      const found = best === null ? 'none yet' : `best ${best.value!.toPrecision(4)} (trial ${best.index + 1})`;
      bar?.update(done, { found: `${found}${failed === 0 ? '' : `, ${failed} failed`}` });
    },
    stop() {
      bar?.stop();
      bar = null;
    },
  };
}
