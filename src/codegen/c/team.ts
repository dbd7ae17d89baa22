// A team of threads in C: one OpenMP region for a whole call, and counters on its stack.
//
// A loop's tasks are divided into parts, one for each thread. A thread takes pieces of its own part, then of the others'.
// Waiting is for work, not for threads: a stage is over when as many pieces are done as it has. So a thread that the
// system has put aside keeps nobody waiting, unless in the middle of a piece, and when it returns it finds nothing left
// to take in the stages that it missed.

import type { Axis } from '../../ir/index-expr.ts';
import type { Program } from '../../ir/program.ts';
import { hasAlternating, predicatesOf } from '../../ir/steps.ts';
import { mostThreads, spinsBeforeYield } from '../../passes/schedule.ts';

/** What the teams of programs do beside walking tasks. */
export interface TeamNeeds {
  /** Values decide what runs. */
  readonly decides: boolean;
  /** Loops take their tasks there and back. */
  readonly alternates: boolean;
}

export const teamNeeds = (programs: readonly Program[]): TeamNeeds => ({
  decides: programs.some(({ steps }) => predicatesOf(steps).length > 0),
  alternates: programs.some(({ steps }) => hasAlternating(steps)),
});

/** The types and functions that a program with shared loops needs; without OpenMP they come to plain loops. */
export const teamHelpers = ({
  decides,
  alternates,
}: TeamNeeds): string => `/* Tasks of a loop that this thread may run: [begin, end). */
typedef struct {
  ash_index tasks, grain, pieces, begin, end;
  int looked;
} ash_share;

#ifdef _OPENMP
/* How many pieces of a thread's part are taken, and of which loop: its number in the upper half. */
typedef struct {
  _Alignas(64) _Atomic uint64_t taken;
} ash_part;

/* What the threads of one call have in common. */
typedef struct {
  _Alignas(64) _Atomic uint64_t done;${decides ? '\n  _Alignas(64) _Atomic uint64_t looked;' : ''}
  ash_part parts[${mostThreads}];
} ash_team;

/* One thread of a team, or of none: the number of loops so far, its pieces not yet reported, and all pieces so far. */
typedef struct {
  ash_team *team;
  int thread, threads;
  uint64_t loop, finished, expected${decides ? ', looks' : ''};${alternates ? backward : ''}
} ash_worker;

static inline ash_share ash_divide(ash_worker *worker, ash_index tasks, ash_index grain) {
  const ash_index pieces = worker->threads == 1 ? 1 : (tasks - 1) / grain + 1;
  worker->loop++;
  worker->expected += (uint64_t)pieces;
  return (ash_share){tasks, worker->threads == 1 ? tasks : grain, pieces, 0, 0, 0};
}

/* Takes the next piece: of this thread's part, then of those of the threads after it. A part whose counter belongs to an
   earlier loop is whole; one of a later loop means that this loop is over. */
static int ash_take(ash_worker *worker, ash_share *share) {
  for (; share->looked < worker->threads; share->looked++) {
    const int part = (worker->thread + share->looked) % worker->threads;
    const int64_t first = (int64_t)share->pieces * part / worker->threads;
    const uint64_t count = (uint64_t)((int64_t)share->pieces * (part + 1) / worker->threads - first);
    _Atomic uint64_t *const taken = &worker->team->parts[part].taken;
    uint64_t seen = atomic_load_explicit(taken, memory_order_relaxed);
    while (seen >> 32 <= worker->loop) {
      const uint64_t before = seen >> 32 == worker->loop ? seen & UINT32_MAX : 0;
      if (before >= count) break;
      const uint64_t next = worker->loop << 32 | (before + 1);
      if (!atomic_compare_exchange_weak_explicit(taken, &seen, next, memory_order_relaxed, memory_order_relaxed)) continue;
      const int64_t begin = (first + (int64_t)${alternates ? '(worker->backward ? count - 1 - before : before)' : 'before'}) * share->grain;
      const int64_t end = begin + share->grain;
      share->begin = (ash_index)begin;
      share->end = (ash_index)(end < share->tasks ? end : share->tasks);
      worker->finished++;
      return 1;
    }
  }
  return 0;
}

/* The next tasks of a loop for this thread; 0 where none is left. */
static inline int ash_next(ash_worker *worker, ash_share *share) {
  if (worker->threads > 1) return ash_take(worker, share);
  share->begin = share->end;
  share->end = share->tasks;
  return share->begin < share->end;
}

/* Returns when all pieces so far are done, whoever does them. */
static inline __attribute__((unused)) void ash_wait(ash_worker *worker) {
  if (worker->threads == 1) return;
  _Atomic uint64_t *const done = &worker->team->done;
  if (worker->finished > 0) atomic_fetch_add_explicit(done, worker->finished, memory_order_release);
  worker->finished = 0;
  for (int looks = 0; atomic_load_explicit(done, memory_order_acquire) < worker->expected; looks++) {
    if (looks < ${spinsBeforeYield}) {
      ASH_PAUSE();
    } else {
      ASH_YIELD();
    }
  }
}
#else
typedef struct {
  int thread;${alternates ? backward : ''}
} ash_worker;

static inline ash_share ash_divide(ash_worker *worker, ash_index tasks, ash_index grain) {
  (void)worker;
  return (ash_share){tasks, grain, 1, 0, 0, 0};
}

static inline int ash_next(ash_worker *worker, ash_share *share) {
  (void)worker;
  share->begin = share->end;
  share->end = share->tasks;
  return share->begin < share->end;
}

static inline __attribute__((unused)) void ash_wait(ash_worker *worker) {
  (void)worker;
}
#endif

/* Runs what follows for every task that this thread takes of a loop. */
#define ASH_TASKS(task, tasks, grain) \\
  for (ash_share share = ash_divide(worker, tasks, grain); ash_next(worker, &share);) \\
    ${alternates ? eachThereAndBack : 'for (ash_index task = share.begin; task < share.end; task++)'}

/* True for the one thread that is to do what only one does. */
static inline __attribute__((unused)) int ash_single(ash_worker *worker) {
  ash_share share = ash_divide(worker, 1, 1);
  return ash_next(worker, &share);
}${decides ? decision : ''}`;

const backward = `
  /* True where tasks are taken from the last to the first. */
  int backward;`;

const eachThereAndBack = `for (ash_index left = share.end - share.begin, task = worker->backward ? share.end - 1 : share.begin; left > 0; \\
         left--, task += worker->backward ? -1 : 1)`;

const decision = `

/* What a truth value says, to all threads alike: none goes on before all have looked, as another value may be written there
   then. */
static inline __attribute__((unused)) int ash_decide(ash_worker *worker, const void *predicate) {
  ash_wait(worker);
  const int decided = *(const uint8_t *)predicate;
#ifdef _OPENMP
  if (worker->threads == 1) return decided;
  _Atomic uint64_t *const looked = &worker->team->looked;
  worker->looks += (uint64_t)worker->threads;
  atomic_fetch_add_explicit(looked, 1, memory_order_release);
  for (int looks = 0; atomic_load_explicit(looked, memory_order_acquire) < worker->looks; looks++) {
    if (looks < ${spinsBeforeYield}) {
      ASH_PAUSE();
    } else {
      ASH_YIELD();
    }
  }
#endif
  return decided;
}`;

/** What the team's functions include: nothing where there is no OpenMP. */
export const teamIncludes = `#ifdef _OPENMP
#include <omp.h>
#include <stdatomic.h>
#if defined(__unix__) || defined(__APPLE__)
#include <sched.h>
#define ASH_YIELD() sched_yield()
#else
#define ASH_YIELD() ASH_PAUSE()
#endif
#if defined(__x86_64__) || defined(__i386__)
#define ASH_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define ASH_PAUSE() __asm__ volatile("yield")
#else
#define ASH_PAUSE() ((void)0)
#endif
#endif`;

/** The body of a function that runs `steps(&worker, …)` on `threads` threads: all of them, or the caller alone. */
export function teamRegion(steps: string, given: readonly string[], decides = false): string {
  const call = (worker: string): string => `${steps}(${[worker, ...given].join(', ')});`;
  return `#ifdef _OPENMP
  if (threads > 1) {
    if (threads > ${mostThreads}) threads = ${mostThreads};
    ash_team team;
    atomic_init(&team.done, 0);${decides ? '\n    atomic_init(&team.looked, 0);' : ''}
    for (int i = 0; i < threads; i++) atomic_init(&team.parts[i].taken, 0);
    ASH_OMP(parallel num_threads(threads))
    {
      ash_worker worker = {.team = &team, .thread = omp_get_thread_num(), .threads = omp_get_num_threads()};
      ${call('&worker')}
    }
  } else {
    ash_worker alone = {.threads = 1};
    ${call('&alone')}
  }
#else
  ash_worker alone = {.thread = 0};
  ${call('&alone')}
#endif`;
}

/** The lines that begin a loop over tasks, whose body stands one level deeper. */
export function tasksHead(
  axes: readonly Axis[],
  grain: number,
  nameOf: (axis: Axis) => string,
  size: (value: number) => string,
): string[] {
  const count = axes.reduce((product, { extent }) => product * extent, 1);
  if (axes.length === 0) return ['if (ash_single(worker)) {'];
  const only = axes.length === 1 ? nameOf(axes[0]!) : 'task';
  const indices = axes.map((axis, i) => {
    const inner = axes.slice(i + 1).reduce((product, { extent }) => product * extent, 1);
    const quotient = inner === 1 ? 'task' : `task / ${size(inner)}`;
    return `  const ash_index ${nameOf(axis)} = ${i === 0 ? quotient : `${quotient} % ${size(axis.extent)}`};`;
  });
  return [`ASH_TASKS(${only}, ${size(count)}, ${size(grain)}) {`, ...(axes.length === 1 ? [] : indices)];
}
