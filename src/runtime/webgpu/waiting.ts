// How this process waits for answers of a device. Browsers do so by themselves; where a `GPU` needs more, what made it says so.

/** Gives what an answer gives. */
export type Wait = <T>(answer: Promise<T>) => Promise<T>;

const waits = new WeakMap<object, Wait>();

/** Answers of a GPU's devices are waited for so. */
export function waitBy<Gpu extends object>(gpu: Gpu, wait: Wait): Gpu {
  waits.set(gpu, wait);
  return gpu;
}

export function waitOf(gpu: object): Wait {
  return waits.get(gpu) ?? ((answer) => answer);
}
