// A network whose layers take every form that packs constant weights, and its schedules for several processors.

import type { Func } from '../../src/ir/graph.ts';
import { builder } from '../../src/ir/ops/index.ts';
import { func } from '../../src/lang/func.ts';
import { input } from '../../src/lang/variable.ts';
import * as nn from '../../src/nn/index.ts';
import { bindStates } from '../../src/passes/bind-states.ts';
import { type CpuName, type ScheduleTarget, targets } from '../../src/passes/schedule.ts';

/** Direct with few channels, Winograd's (where images are large enough), depthwise, grouped, one tap, strided, and dense. */
export function everyForm(batch: number, size: number): Func {
  nn.resetNames();
  nn.setSeed(11);
  const x = input('x', [batch, 3, size, size]);
  const network = nn.sequential(
    nn.conv2d(3, 24, 5, { padding: 'same', strides: 2 }),
    nn.relu,
    nn.conv2d(24, 48, 1),
    nn.conv2d(48, 48, 3, { padding: 'same', groups: 48 }),
    nn.conv2d(48, 48, 3, { padding: 'same' }),
    nn.relu,
    nn.conv2d(48, 70, 3, { padding: 'same', strides: 2 }),
    nn.conv2d(70, 140, 1, { groups: 2 }),
    nn.flatten(),
    nn.dense(140 * Math.ceil(size / 4) ** 2, 40),
    nn.relu,
    nn.dense(40, 10),
  );
  const definition = func({ name: 'every_form', inputs: [x], outputs: { y: network(x) } });
  const values = new Map(definition.variables.map((variable) => [variable.name, variable]));
  return bindStates(definition.func, builder, (name) => values.get(name)!.initial());
}

/** Schedules of one artifact: all with the constants of the widest. */
export function sharing(names: readonly CpuName[]): readonly (readonly [CpuName, ScheduleTarget])[] {
  return names.map((name) => [name, { ...targets[name], widest: targets[names[0]!] }]);
}
