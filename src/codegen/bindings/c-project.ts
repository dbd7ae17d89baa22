// What stands in an exported folder beside the code: a CMake project, an example of a caller, and a page that explains both.

import { formatType, sizeOf } from '../../ir/types.ts';
import { type ArtifactInterface, type Member, runParameterList } from '../c/artifact-header.ts';
import { scalarType } from '../c/expressions.ts';
import { weightAlignment } from '../c/weights.ts';
import { toComment } from '../names.ts';
import type { Manifest } from './manifest.ts';
import { inCode } from './markdown.ts';

/** The project: the library, static or with -DBUILD_SHARED_LIBS=ON shared, and the example. */
export function cmakeLists({ name }: ArtifactInterface): string {
  return `# Made by Ashlar. A static library, or with -DBUILD_SHARED_LIBS=ON a shared one, and an example that calls it.
cmake_minimum_required(VERSION 3.13)
project(${name} LANGUAGES C)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

add_library(${name} ${name}.c)
target_include_directories(${name} PUBLIC "\${CMAKE_CURRENT_SOURCE_DIR}")
set_target_properties(${name} PROPERTIES
  C_STANDARD 11
  POSITION_INDEPENDENT_CODE ON
  WINDOWS_EXPORT_ALL_SYMBOLS ON)

# Without OpenMP everything runs on the caller's thread.
find_package(OpenMP COMPONENTS C)
if(OpenMP_C_FOUND)
  target_link_libraries(${name} PUBLIC OpenMP::OpenMP_C)
endif()
if(UNIX)
  target_link_libraries(${name} PUBLIC m)
endif()

add_executable(${name}_example main.c)
set_target_properties(${name}_example PROPERTIES C_STANDARD 11)
target_link_libraries(${name}_example PRIVATE ${name})
`;
}

/** printf's conversion of an element, and the type that it is given as. */
const shownAs = (dtype: string): readonly [string, string] => {
  if (dtype === 'f32' || dtype === 'f64') return ['%.9g', 'double'];
  if (dtype === 'f16') return ['0x%04x', 'unsigned'];
  return dtype === 'i64' || dtype === 'u32' ? ['%lld', 'long long'] : ['%d', 'int'];
};

const arrayOf = (kind: string, { identifier, buffer: { type } }: Member): string =>
  `  static ${scalarType(type.dtype)} ${kind}_${identifier}[${Math.max(1, sizeOf(type.shape))}];`;

/** A program that runs the function once on zeros, or on what files hold, and prints what it gives. */
export function exampleMain(parts: ArtifactInterface): string {
  const { name, title, inputs, outputs, states, weights, workspaceBytes } = parts;
  const upper = name.toUpperCase();
  const filesAt = weights === null ? 1 : 2;
  const usage = [...(weights === null ? [] : ['[WEIGHTS]']), ...inputs.map(({ identifier }) => `[${identifier}]`)].join(
    ' ',
  );
  const given = (list: readonly Member[], kind: string): string[] =>
    list.length === 0
      ? []
      : [`  const ${name}_${kind}s ${kind}s = {${list.map(({ identifier }) => `${kind}_${identifier}`).join(', ')}};`];
  const reads = inputs.map(
    ({ identifier }, i) =>
      `  if (argc > ${filesAt + i} && !read_file(argv[${filesAt + i}], input_${identifier}, sizeof input_${identifier})) return 1;`,
  );
  const prints = outputs.map(({ identifier, buffer: { type } }) => {
    const [conversion, as] = shownAs(type.dtype);
    return `  printf("${identifier}: ${formatType(type)}\\n");
  for (size_t i = 0; i < ${sizeOf(type.shape)}; i++) printf("${conversion}\\n", (${as})output_${identifier}[i]);`;
  });
  const passed = runParameterList(parts).flatMap((parameter) => {
    const called = parameter.split(/[ *]/).at(-1)!;
    if (called === 'workspace_bytes') return ['workspace_bytes'];
    return called === 'workspace' ? ['workspace'] : called === 'threads' ? ['1'] : [`&${called}`];
  });
  const body = [
    ...inputs.map((member) => arrayOf('input', member)),
    ...outputs.map((member) => arrayOf('output', member)),
    ...states.map((member) => arrayOf('state', member)),
    ...(inputs.length === 0 ? ['  (void)argc;', '  (void)argv;'] : reads),
    ...(weights === null ? [] : [bindText(name)]),
    ...given(inputs, 'input'),
    ...given(outputs, 'output'),
    ...given(states, 'state'),
    ...(states.length === 0
      ? []
      : [`  status = ${name}_initial_states(${weights === null ? '' : '&weights, '}&states);`, failed(name)]),
    ...(workspaceBytes === 0
      ? ['  void *const workspace = NULL;', '  const size_t workspace_bytes = 0;']
      : [
          `  const size_t workspace_bytes = ${name}_workspace_size();`,
          `  void *const workspace = aligned(malloc(workspace_bytes + ${upper}_WORKSPACE_ALIGNMENT), ${upper}_WORKSPACE_ALIGNMENT);`,
          '  if (workspace == NULL) return 1;',
        ]),
    `  status = ${name}_run(${passed.join(', ')});`,
    failed(name),
    ...prints,
  ];
  const needsRead = inputs.length > 0 || weights !== null;
  const needsAligned = workspaceBytes > 0 || weights !== null;
  return [
    `/* Runs ${toComment(title)} once, on zeros or on what files hold (raw elements, row-major), and prints what it gives.
 * Usage: ${name}_example ${toComment(usage)} */`,
    ...(weights === null ? [] : ['#define _POSIX_C_SOURCE 200809L /* for mmap */']),
    `#include "${name}.h"\n\n#include <stdio.h>\n#include <stdlib.h>`,
    ...(needsAligned ? [alignedFunction] : []),
    ...(needsRead ? [readFunction] : []),
    ...(weights === null ? [] : [mapFunction]),
    `int main(int argc, char **argv) {\n  int status;\n${body.join('\n')}\n  return 0;\n}`,
    '',
  ]
    .join('\n\n')
    .replace(/\n\n$/, '\n');
}

const failed = (name: string): string => `  if (status != 0) {
    fprintf(stderr, "%s\\n", ${name}_status_name(status));
    return 1;
  }`;

const bindText = (name: string): string => `  ${name}_weights weights;
  size_t weights_bytes = 0;
  const void *const file = map_file(argc > 1 ? argv[1] : "${name}.weights", &weights_bytes);
  if (file == NULL) return 1;
  status = ${name}_bind_weights(&weights, file, weights_bytes);
${failed(name)}`;

const alignedFunction = `/* The first address in memory, which has room for it, that is a multiple of alignment. */
static void *aligned(void *memory, size_t alignment) {
  if (memory == NULL) return NULL;
  return (char *)memory + (alignment - (uintptr_t)memory % alignment) % alignment;
}`;

const readFunction = `/* Reads a file of exactly so many bytes. */
static int read_file(const char *path, void *memory, size_t bytes) {
  FILE *const file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return 0;
  }
  const int whole = fread(memory, 1, bytes, file) == bytes && fgetc(file) == EOF;
  fclose(file);
  if (!whole) fprintf(stderr, "%s: %zu bytes expected\\n", path, bytes);
  return whole;
}`;

const mapFunction = `/* The bytes of a file, at a multiple of ${weightAlignment}: mapped where the system can, so that processes share one copy. */
#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const void *map_file(const char *path, size_t *bytes) {
  struct stat found;
  const int file = open(path, O_RDONLY);
  if (file < 0 || fstat(file, &found) != 0) {
    perror(path);
    return NULL;
  }
  *bytes = (size_t)found.st_size;
  void *const memory = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (memory != MAP_FAILED) return memory;
  perror(path);
  return NULL;
}
#else
static const void *map_file(const char *path, size_t *bytes) {
  FILE *const file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
    perror(path);
    return NULL;
  }
  *bytes = (size_t)ftell(file);
  fclose(file);
  void *const memory = aligned(malloc(*bytes + ${weightAlignment}), ${weightAlignment});
  return memory != NULL && read_file(path, memory, *bytes) ? memory : NULL;
}
#endif`;

/** The page for whoever gets the folder. */
export function readme(parts: ArtifactInterface, { processors = [] }: Manifest, hasNodeWrapper: boolean): string {
  const { name, inputs, outputs, states, weights, workspaceBytes } = parts;
  const rows = (kind: string, list: readonly Member[]): string[] =>
    list.map(
      ({ identifier, buffer: { name: given, type } }) =>
        `| ${kind} | \`${identifier}\` | ${inCode(given)} | \`${scalarType(type.dtype)}\` | ${type.shape.join(' × ') || 'one number'} |`,
    );
  const passed = runParameterList(parts).map((parameter) => parameter.split(/[ *]/).at(-1)!);
  const files = [
    `| \`${name}.h\`, \`${name}.c\` | the program: C11, without allocations, global state or dependencies |`,
    ...(weights === null
      ? []
      : [
          `| \`${name}.weights\` | ${weights.layout.bytes} bytes to map or read at a multiple of ${weightAlignment}; little-endian arrays without a header |`,
        ]),
    `| \`${name}.json\` | the manifest: names, types, shapes, sizes and hashes for tools |`,
    ...(hasNodeWrapper
      ? [`| \`${name}.mjs\`, \`${name}.d.ts\` | a module for Node over the shared library, with types |`]
      : []),
    '| `main.c`, `CMakeLists.txt` | an example of a caller, and the project that builds it |',
  ];
  return `# ${name}

Made by Ashlar, which is not needed any more.

| file | |
| --- | --- |
${files.join('\n')}

## Build and run

    cmake -B build && cmake --build build
    ./build/${name}_example${weights === null ? '' : ` ${name}.weights`}

or without CMake

    cc -std=gnu11 -O3 -fopenmp -o ${name}_example main.c ${name}.c -lm

Any C11 compiler will do. With gcc and clang the code has instructions for ${processors.join(', ')} and chooses where it runs: no
\`-march\` is needed. Leave out \`-fopenmp\` for a program on the caller's thread alone. From C++ include the same header.

## Call

| | in C | name | elements | shape |
| --- | --- | --- | --- | --- |
${[...rows('input', inputs), ...rows('output', outputs), ...rows('state', states)].join('\n')}

1. \`${name}_workspace_size()\`: bytes of working memory (${workspaceBytes}), which the caller gives at a multiple of 64.
${weights === null ? '' : `2. \`${name}_bind_weights(&weights, bytes, count)\`: once; reads the whole file and refuses another one.\n`}${states.length === 0 ? '' : `${weights === null ? 2 : 3}. \`${name}_initial_states(${weights === null ? '' : '&weights, '}&states)\`: writes the first values of what is kept from call to call.\n`}${2 + (weights === null ? 0 : 1) + (states.length === 0 ? 0 : 1)}. \`${name}_run(${passed.join(', ')})\`.

Arrays are row-major. Every function answers a status, 0 where all is well; \`${name}_status_name\` says it in words. NULL, misaligned
or overlapping buffers, a workspace that is too small, other weights and indices out of range are refused before anything is
computed. Any number of threads may run at once, each with a workspace${states.length === 0 ? '' : ', states'} and outputs of its own, on the same${weights === null ? ' code' : ' bound weights'}.
${hasNodeWrapper ? nodeSection(parts) : ''}`;
}

function nodeSection({ name, inputs, outputs }: ArtifactInterface): string {
  const given = inputs.map(({ buffer }) => JSON.stringify(buffer.name)).join(', ');
  const gives = outputs.map(({ buffer }) => JSON.stringify(buffer.name)).join(', ');
  return `
## From Node

    npm install koffi
    cmake -B build -DBUILD_SHARED_LIBS=ON && cmake --build build

\`load()\` of \`${name}.mjs\` gives \`run(inputs, outputs?)\`, which takes typed arrays by name (${inCode(given)}) and gives them
(${inCode(gives)}); the shapes are in the types.
`;
}
