// What a worker of the search's tests does: the parabola of the tests, and every way for a process to fail.

import { existsSync, writeFileSync } from 'node:fs';
import { serveTrials } from '../../src/search/workers.ts';

/** Where it is named, a file whose absence makes the first trial with `dies: 'once'` end its process. */
const [, , mark] = process.argv;

serveTrials<{ readonly x: number; readonly way: string }>(async ({ x, way }, { trial }) => {
  if (way === 'dies') process.exit(3);
  if (way === 'once' && mark !== undefined && !existsSync(mark)) {
    writeFileSync(mark, '');
    process.kill(process.pid, 'SIGKILL');
  }
  if (way === 'hangs') await new Promise((resolve) => setTimeout(resolve, 60_000));
  if (way === 'throws') throw new Error(`trial ${trial} is refused`);
  return (x - 0.3) ** 2;
});
