// The tests that walk the operation table in WGSL, as they stand in test/, on the card: every example of every operation
// and the ends of every range, against the float64 reference.

import { keeper } from './part.ts';
import { runCollected } from './test-runner.ts';

const keep = keeper('operations');
await import('../../test/webgpu.test.ts');
await import('../../test/webgpu-values.test.ts');
await runCollected(keep);
process.exit(0);
