// What values decide on a device. Nothing is read back: dispatches that may not have to run take their number of workgroups from
// memory, and a gate, a tiny kernel in front of them, writes these numbers or zeros. A gate's memory is a word that says whether
// it is open, and three words for each dispatch behind it.

import type { WgslModule } from './program.ts';

/** A truth value: a word, or where its caller's bytes are packed, the first of four. */
export interface Predicate {
  readonly packed: boolean;
  /** True: the gate opens where the value is false. */
  readonly inverted: boolean;
}

export interface GateShape {
  /** Dispatches behind the gate, each with its workgroups. */
  readonly workgroups: readonly (readonly [number, number])[];
  /** True: it is open only where another one is. The gate that stood open before may be itself. */
  readonly around: 'none' | 'other' | 'itself';
  readonly predicate: Predicate | null;
}

/** Bytes of a gate's memory before the numbers of its first dispatch, and for each. */
export const gateHead = 4;
export const gateEntry = 12;

const lanes = 64;

/** Bindings: the gate, the one around it unless that is itself, and the predicate. */
export function printGate({ workgroups, around, predicate }: GateShape): WgslModule {
  const bindings: WgslModule['bindings'] = [
    { name: 'gate', type: 'u32', lanes: 1, access: 'read_write' },
    ...(around === 'other' ? [{ name: 'around', type: 'u32', lanes: 1, access: 'read_write' } as const] : []),
    ...(predicate === null ? [] : [{ name: 'predicate', type: 'u32', lanes: 1, access: 'read' } as const]),
  ];
  const conditions = [
    ...(around === 'none' ? [] : [`${around === 'itself' ? 'gate' : 'around'}[0] != 0u`]),
    ...(predicate === null ? [] : [truth(predicate)]),
  ];
  const count = workgroups.length;
  const counts =
    count === 0
      ? []
      : [
          `var<private> workgroups = array<vec2<u32>, ${count}>(`,
          ...workgroups.map(([x, y]) => `  vec2<u32>(${x}, ${y}),`),
          ');',
          '',
        ];
  const numbers = [
    `  for (var i = lane; i < ${count}u; i += ${lanes}u) {`,
    '    let counts = select(vec2<u32>(0u, 0u), workgroups[i], open);',
    '    gate[3u * i + 1u] = counts.x;',
    '    gate[3u * i + 2u] = counts.y;',
    '    gate[3u * i + 3u] = 1u;',
    '  }',
  ];
  const code = [
    '// Whether the dispatches behind this one run.',
    ...bindings.map(({ name, access }, i) => `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<u32>;`),
    '',
    ...counts,
    `@compute @workgroup_size(${lanes})`,
    'fn main(@builtin(local_invocation_index) lane: u32) {',
    `  let open = ${conditions.join(' && ') || 'true'};`,
    ...(around === 'itself' ? ['  storageBarrier();'] : []),
    '  if (lane == 0u) {',
    '    gate[0] = select(0u, 1u, open);',
    '  }',
    ...(count === 0 ? [] : numbers),
    '}',
    '',
  ].join('\n');
  return { name: 'gate', code, bindings, numbers: 0 };
}

function truth({ packed, inverted }: Predicate): string {
  const value = packed ? '(predicate[0] & 255u)' : 'predicate[0]';
  return `${value} ${inverted ? '==' : '!='} 0u`;
}
