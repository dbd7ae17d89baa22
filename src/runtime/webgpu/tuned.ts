// What a tuning record says for a device.

import { UserError } from '../../ir/errors.ts';
import type { GpuChoice } from '../../passes/gpu/candidates.ts';
import type { GpuKind } from '../../passes/gpu/schedule.ts';
import { choicesOf, type MeasuredDevice, type RecordText, recordFor, type Tuned } from '../../passes/tuning.ts';
import type { WebGpuDevice } from './device.ts';

/** A device as a record names it. */
export function measuredDevice({ adapter, features }: WebGpuDevice): MeasuredDevice {
  return { ...adapter, ...features };
}

/** Throws UserError for a record that is damaged, of another target, or of another device or kernels for it. */
export function tunedOn(device: WebGpuDevice, record: RecordText): Tuned<GpuChoice> {
  const { name } = record;
  const { device: measured, entries } = recordFor('wgsl', record);
  if (!isSame(measured, measuredDevice(device)))
    throw new UserError(
      `${name} was measured on ${nameOf(measured)}, this is ${nameOf(measuredDevice(device))}; tune again here`,
    );
  expectKernels(measured, device.features.kernels, name);
  return choicesOf(entries, name);
}

/** The same for code that runs elsewhere: what kernels are made for decides alone, and is the record's where nobody says. */
export function tunedFor(
  kernels: GpuKind | undefined,
  record: RecordText,
): Tuned<GpuChoice> & { readonly kernels: GpuKind; readonly name: string } {
  const { name } = record;
  const { device, entries } = recordFor('wgsl', record);
  if (kernels !== undefined) expectKernels(device, kernels, name);
  return { ...choicesOf(entries, name), kernels: device.kernels, name };
}

function expectKernels({ kernels }: MeasuredDevice, wanted: GpuKind, name: string): void {
  if (kernels !== wanted)
    throw new UserError(
      `${name} was measured with kernels for ${described[kernels]}, these are for ${described[wanted]}; tune for them`,
    );
}

const described: Readonly<Record<GpuKind, string>> = {
  card: "cards ('card')",
  software: "adapters that compute on the processor ('software')",
};

/** Adapters are told apart by what both say of themselves: a page learns less than Node. */
function isSame(a: MeasuredDevice, b: MeasuredDevice): boolean {
  return (['vendor', 'architecture', 'description'] as const).every(
    (part) => a[part] === b[part] || (part === 'description' && (a[part] === '' || b[part] === '')),
  );
}

const nameOf = ({ vendor, architecture, description }: MeasuredDevice): string =>
  JSON.stringify([vendor, architecture, description].filter((part) => part !== '').join(' '));
