// The operation table, total over OpName, and a builder over it.

import { makeBuilder } from '../builder.ts';
import type { OpTable } from '../optable.ts';
import { callOps } from './call.ts';
import { contractOps } from './contract.ts';
import { creationOps } from './creation.ts';
import { customOps } from './custom.ts';
import { elementwiseOps } from './elementwise.ts';
import { indexingOps } from './indexing.ts';
import { loopOps } from './loops/index.ts';
import { randomOps } from './random.ts';
import { reduceOps } from './reduce.ts';
import { shapeOps } from './shape.ts';
import { windowOps } from './window.ts';

export const opTable: OpTable = {
  ...creationOps,
  ...randomOps,
  ...elementwiseOps,
  ...shapeOps,
  ...indexingOps,
  ...reduceOps,
  ...contractOps,
  ...windowOps,
  ...callOps,
  ...customOps,
  ...loopOps,
};

export const builder = makeBuilder(opTable);
