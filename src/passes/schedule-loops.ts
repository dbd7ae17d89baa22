// What decides about loops of programs, beside schedule.ts.

/** Iterations from which on it pays to pack what all of them read: packing costs about as much as reading it twice more. */
export const fewestRepeated = 4;

/** Iterations from which on two halves that change their roles cost fewer kernels than a copy in each: they take two copies around. */
export const fewestSwapped = 4;

/** How many iterations an endless loop is taken for where work is estimated. */
export const assumedIterations = 16;
