#!/usr/bin/env node
// A C compiler's command that times kernels: it passes everything on to gcc (or $ASHLAR_PROFILE_CC), but where an Ashlar
// program is compiled, each kernel's call is surrounded by readings of the clock. `ash_profile_read` gives the seconds
// of every call in the order of the text, as they were in the last run.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const compiler = process.env.ASHLAR_PROFILE_CC ?? 'gcc';
const given = process.argv.slice(2);
const sources = given.filter((argument) => argument.endsWith('.c'));
for (const source of sources) {
  const code = readFileSync(source, 'utf8');
  // Of a program in several files one has the calls.
  if (/^int \w+_run\(/m.test(code)) writeFileSync(source, instrument(code));
}
const { status } = spawnSync(compiler, given, { stdio: 'inherit' });
process.exit(status ?? 1);

/** @param {string} code */
function instrument(code) {
  let calls = 0;
  // Only what runs each time: the preparation of constants, which other functions hold, is left alone. A kernel that a
  // team shares takes until all of its work is done, by the clock of the thread that called the program.
  const timed = code.replace(/^(?:int \w+_run|static void \w+_steps)\([\s\S]*?^}/gm, (body) =>
    body.replace(/^( +)(kernel_\w+\(.*\));$(\n +ash_wait\(worker\);)?/gm, (_, indent, call, wait) =>
      call.endsWith('worker)')
        ? `${indent}ASH_TIMED(worker->thread == 0, ${calls++}, ${call}; ${wait === undefined ? '' : 'ash_wait(worker)'});`
        : `${indent}ASH_TIMED(1, ${calls++}, ${call});`,
    ),
  );
  const seconds = Math.max(1, calls);
  return `#include <time.h>
static double ash_profile_seconds[${seconds}];
static double ash_profile_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
int ash_profile_calls(void) {
  return ${calls};
}
void ash_profile_read(double *seconds) {
  for (int i = 0; i < ${calls}; i++) seconds[i] = ash_profile_seconds[i];
}
#define ASH_TIMED(counts, i, ...) do { \\
  const double ash_profile_start = ash_profile_now(); \\
  __VA_ARGS__; \\
  if (counts) ash_profile_seconds[i] = ash_profile_now() - ash_profile_start; \\
} while (0)
${timed}`;
}
