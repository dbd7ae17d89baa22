// One progress bar per epoch, on a terminal only: a log file or a pipe gets nothing.

import { Presets, SingleBar } from 'cli-progress';
import type { TerminalStream } from '../io/terminal-stream.ts';
import type { Metrics } from './evaluate.ts';
import type { Progress } from './fit.ts';

/** `epoch  3/20 ████████░░░░ 23/45  loss 0.1234`; after the epoch the validation metrics follow. */
export function progressBar(stream: TerminalStream = process.stderr): Progress {
  if (!stream.isTTY) return { epochStart() {}, batch() {}, epochEnd() {}, stop() {} };
  const terminal = stream as NodeJS.WriteStream;
  let bar: SingleBar | null = null;
  const finish = (): void => {
    bar?.stop();
    bar = null;
  };
  return {
    epochStart(epoch, epochs, batches, firstBatch) {
      const label = `${String(epoch).padStart(String(epochs).length)}/${epochs}`;
      const format = `epoch ${label} {bar} {value}/{total}  {metrics}`;
      bar = new SingleBar({ stream: terminal, format, barsize: 24, fps: 10, hideCursor: true }, Presets.shades_classic);
      bar.start(batches, firstBatch, { metrics: '' });
    },
    batch(done, running) {
      bar?.update(done, { metrics: formatMetrics(running) });
    },
    epochEnd({ training, validation }) {
      const shown = validation === null ? '' : `  validation: ${formatMetrics(validation)}`;
      bar?.update({ metrics: `${formatMetrics(training)}${shown}` });
      finish();
    },
    stop: finish,
  };
}

/** `loss 0.1234  accuracy 0.9870` */
export function formatMetrics(metrics: Metrics): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${value.toPrecision(4)}`)
    .join('  ');
}
