// The most memory that this process has had in use, from Linux. Not getrusage's figure: a process inherits that from the one
// that started it.

import { readFileSync } from 'node:fs';

export function peakResidentBytes(): number {
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  if (found === null) throw new Error('/proc/self/status has no VmHWM: the memory part needs Linux');
  return 1024 * Number(found[1]);
}
