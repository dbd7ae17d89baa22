// The page that stands in the folder of an exported ES module, for whoever gets it.

import { sizeOf } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import { arrayNames } from '../typed-arrays.ts';
import { inCode } from './markdown.ts';
import { type ModuleInterface, type ModuleValue, moduleFiles, property } from './module-interface.ts';

export function moduleReadme(parts: ModuleInterface): string {
  const { name, target, weightBytes, states } = parts;
  const onDevice = target === 'wgsl';
  const { module, typings, weights, manifest } = moduleFiles(name, target);
  return `# ${name}

Made by Ashlar, which is not needed any more.

| file | |
| --- | --- |
| \`${module}\`, \`${typings}\` | the functions as an ES module${onDevice ? ' with its shaders' : ''}, which imports nothing, and its types |
| \`${weights}\` | ${weightBytes} bytes of weights, which the module looks for beside itself |
| \`${manifest}\` | the manifest: names, types, shapes, sizes and hashes for tools |

## Call

\`\`\`js
${example(parts)}
\`\`\`

| function | | name | elements | shape |
| --- | --- | --- | --- | --- |
${tableRows(parts).join('\n')}

Arrays are row-major, bool is 0 or 1. ${onDevice ? 'Results are new arrays.' : 'A second argument has arrays that outputs are written to; others are new.'} An array of another type or length, an index out of range${onDevice ? ', a lost device' : ''} and
weights of another length or hash are errors that say what was expected. ${onDevice ? '`destroy()` frees the memory on the device.' : 'The same module runs in pages, in workers and in Node.'}
${states.length === 0 ? '' : `\nStates are kept from call to call${onDevice ? ', on the device,' : ''} and are common to all functions: \`state.names()\`, \`state.get(name)\`,\n\`state.set(name, array)\`. Every \`load\` has its own.\n`}
## Serve and bundle

Any static server will do, with \`${weights}\` beside \`${module}\`${onDevice ? '. Browsers have WebGPU on pages from HTTPS and from localhost' : ''}.

Vite and webpack take the weights along by themselves, Rollup with the plugin \`@web/rollup-plugin-import-meta-assets\`. Without it Rollup
leaves their address as it is: copy \`${weights}\` beside the bundle. So does esbuild, with which there are three ways:

- bundle with \`--format=esm\` and copy \`${weights}\` beside the bundle;
- bundle with \`--loader:.bin=file\`, and tell the module the address: \`import file from './${weights}'\`, and the option
  \`weights: new URL(file, import.meta.url)\`;
- bundle with \`--loader:.bin=binary\`, and the weights are in the bundle: \`import weights from './${weights}'\`, and the option \`weights\`.

A bundle that is no ES module (\`--format=iife\`) does not know where it is: give it the option \`weights: '${weights}'\`, an address as
the page would write it, or the bytes.
`;
}

/** Loading, and a call of the first function with zeros. */
function example({ name, target, functions }: ModuleInterface): string {
  const onDevice = target === 'wgsl';
  const [[key, { inputs, outputs }]] = Object.entries(functions) as [[string, ModuleInterface['functions'][string]]];
  const bare = property(key) === key;
  const given = inputs.map(
    ({ name: input, type }) => `${property(input)}: new ${arrayNames[type.dtype]}(${sizeOf(type.shape)})`,
  );
  const call = `network${bare ? `.${key}` : `[${JSON.stringify(key)}]`}(${given.length === 0 ? '{}' : `{ ${given.join(', ')} }`})`;
  const lines = [
    `import { load } from './${moduleFiles(name, target).module}';`,
    '',
    ...(onDevice ? ['const adapter = await navigator.gpu.requestAdapter();'] : []),
    `const network = await load(${onDevice ? 'await adapter.requestDevice()' : ''});`,
    `const outputs = ${onDevice ? 'await ' : ''}${oneLine(call)};`,
    `console.log(Object.keys(outputs)); // ${toComment(outputs.map((output) => output.name).join(', '))}`,
  ];
  return lines.join('\n');
}

/** Code of JSON's strings without the characters that end a line. */
const oneLine = (code: string): string =>
  code.replace(/[\u0085\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

function tableRows({ functions, states }: ModuleInterface): string[] {
  const row = (key: string, kind: string, { name, type }: ModuleValue): string =>
    `| ${key} | ${kind} | ${inCode(name)} | \`${arrayNames[type.dtype]}\` | ${type.shape.join(' × ') || 'one number'} |`;
  return [
    ...Object.entries(functions).flatMap(([key, { inputs, outputs }]) => [
      ...inputs.map((value) => row(inCode(key), 'input', value)),
      ...outputs.map((value) => row(inCode(key), 'output', value)),
    ]),
    ...states.map((value) => row('', 'state', value)),
  ];
}
