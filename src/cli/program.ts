// The command line: commands, their options and their help. What a command does is loaded when it runs.

import { Command, Option } from 'commander';
import { cases, kernelKinds, processors, stages, targets } from './choices.ts';
import type { OwnModules } from './model/module.ts';
import { assignment, count, existing, listOf, named, repeated, seconds, shape } from './options.ts';
import { hasColours } from './terminal.ts';
import { version } from './version.ts';

export interface Context {
  readonly own: OwnModules;
  /** Tells the exit code of a command that ended. */
  readonly finish: (code: 0 | 1) => void;
}

export function commandLine(context: Context): Command {
  const program = new Command('ashlar')
    .description('Compiles models to C, WebGPU and JavaScript that stand alone.')
    .version(version, '-V, --version')
    .helpCommand('help [command]', 'help for a command')
    .showHelpAfterError('Run with --help to see how it is used.')
    .configureHelp({ showGlobalOptions: false, styleTitle: bold, subcommandTerm: (command) => command.name() })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, 'ashlar:')) })
    .addHelpText('after', overview)
    .exitOverride();
  compileCommand(program, context);
  runCommand(program, context);
  benchCommand(program, context);
  inspectCommand(program, context);
  verifyCommand(program, context);
  tuneCommand(program, context);
  checkCommand(program, context);
  return program;
}

const bold = (title: string): string => (hasColours(process.stdout) ? `\u001b[1m${title}\u001b[22m` : title);

const overview = `
A <model> is a .ts, .mts, .js or .mjs module that exports functions made with func(), an .onnx file, or an artifact's folder
that "ashlar compile" wrote (for run, bench and inspect).

Exit codes: 0 done, 1 failed, 2 the command line is wrong.
$ASHLAR_DEBUG=1 shows the stack of an error, $NO_COLOR=1 switches colours off.`;

/** A command that takes a model. */
function onModel(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument('<model>', "a module, an .onnx file or an artifact's folder")
    .option('--export <name>', 'which function of a module (default: the only one)')
    .option('--state <file>', 'safetensors file with trained values of the variables')
    .option(
      '--dim <name=size>',
      '.onnx: size of a dimension that the file names (default: 1)',
      named('NAME=SIZE', count),
    )
    .option('--shape <name=sizes>', '.onnx: shape of an input, as x=1,3,224,224', named('NAME=SIZE,SIZE,…', shape))
    .option(
      '--constant <name=file>',
      '.onnx: .npy file of an input that never changes',
      named('NAME=FILE.npy', existing),
    )
    .option(
      '--random-seed <seed>',
      '.onnx: what random operators draw by, a number or the name of an input that it becomes',
      (text) => (/^\d+$/.test(text) ? count(text) : text),
    );
}

const target = (description: string): Option => new Option('-t, --target <target>', description).choices(targets);
const threads = (): Option => new Option('--threads <n>', 'threads of target c (default: 1)').argParser(count);
const kernels = (): Option =>
  new Option(
    '--kernels <kind>',
    "target wgsl: kernels for cards or for adapters that compute on the processor (default: the record's, else card)",
  ).choices(kernelKinds);
const tuning = ['--tuning <file>', 'targets c, wgsl: what "ashlar tune" found'] as const;
const json = 'print JSON for programs';
const inputs = [
  '-i, --input <name=file>',
  'an input and its .npy file; once for each',
  assignment('NAME=FILE.npy'),
] as const;

const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ ashlar ${line}`).join('\n')}`;

function compileCommand(program: Command, context: Context): void {
  onModel(program, 'compile', 'writes the artifact: files that need nothing of Ashlar')
    .addOption(target('c: a C library; wgsl: a module for pages; js: a module for anywhere').makeOptionMandatory())
    .requiredOption('-o, --out <directory>', 'where the files go')
    .option('--name <name>', "name of the files and of the function (default: the function's)")
    .option('--cpu <names>', `processors that C is for: ${processors.join(', ')} (default: all)`, listOf(processors))
    .addOption(new Option('--weights <where>', 'weights of C in its text or in a file').choices(['embed', 'file']))
    .addOption(new Option('--dtype <dtype>', 'how weights are stored').choices(['f32', 'f16', 'i8']).default('f32'))
    .option(
      '--calibration <name=file>',
      'f16, i8: .npy file with samples of an input; for a single input the file alone',
      repeated,
    )
    .option('--weights-only', 'i8: weights in bytes, computed with in f32; needs no calibration')
    .option('--labels <file>', 'f16, i8: .npy file with the class of each sample, to print the accuracy')
    .addOption(kernels())
    .option(...tuning)
    .option('--json', json)
    .addHelpText(
      'after',
      examples(
        'compile digits.ts --target c --out dist/digits',
        'compile digits.ts --target c --dtype i8 --calibration images.npy --labels labels.npy --out dist/digits',
        'compile digits.ts --export read --target wgsl --name digits --out public',
        'compile resnet50.onnx --target c --weights file --cpu x86-64-v3,plain --out dist/resnet',
      ),
    )
    .action(async (model, options) => {
      const { compileModel } = await import('./commands/compile.ts');
      await compileModel(model, options, context);
    });
}

function runCommand(program: Command, context: Context): void {
  onModel(program, 'run', 'runs the model once and writes one .npy for each output')
    .addOption(target('what runs it (default: c, without a C compiler what there is)'))
    .option(...inputs)
    .requiredOption('-o, --out <directory>', 'where the outputs go')
    .addOption(threads())
    .option(...tuning)
    .option('--json', json)
    .addHelpText(
      'after',
      examples(
        'run digits.ts --input image=three.npy --out results',
        'run dist/digits --input image=three.npy --out results',
        'run resnet50.onnx --target wgsl --input data=cat.npy --out results',
      ),
    )
    .action(async (model, options) => {
      const { runModel } = await import('./commands/run.ts');
      await runModel(model, options, context);
    });
}

function benchCommand(program: Command, context: Context): void {
  onModel(program, 'bench', 'measures how long a call takes')
    .addOption(target('what runs it (default: c, without a C compiler what there is)'))
    .option(...inputs)
    .addOption(threads())
    .option('--seconds <s>', 'how long to measure', seconds, 3)
    .option(...tuning)
    .option('--json', json)
    .addHelpText(
      'after',
      `\nInputs that are not given are random; indices are within their range.\n${examples(
        'bench digits.ts --target c --threads 2',
        'bench resnet50.onnx --target c --seconds 10 --json',
      )}`,
    )
    .action(async (model, options) => {
      const { benchModel } = await import('./commands/bench.ts');
      await benchModel(model, options, context);
    });
}

function inspectCommand(program: Command, context: Context): void {
  onModel(program, 'inspect', 'prints a stage of the compilation')
    .addOption(new Option('-s, --stage <stage>', 'what to print').choices(stages).default('summary'))
    .option('--pass <name>', 'the graph as it is after this pass')
    .addOption(target('what kernels are made for in stages summary, kernels and program (default: c)'))
    .option('--cpu <name>', `the processor of target c: ${processors.join(', ')} (default: native)`, listOf(processors))
    .addOption(kernels())
    .option(...tuning)
    .option('--json', json)
    .addHelpText(
      'after',
      examples(
        'inspect digits.ts',
        'inspect digits.ts --stage graph --pass simplify',
        'inspect digits.ts --stage c --cpu plain',
        'inspect resnet50.onnx --stage summary --json',
      ),
    )
    .action(async (model, options) => {
      const { inspectModel } = await import('./commands/inspect.ts');
      await inspectModel(model, options, context);
    });
}

function verifyCommand(program: Command, context: Context): void {
  onModel(program, 'verify', 'compares targets with the float64 reference on random and edge inputs')
    .option(
      '--targets <list>',
      `which targets: ${targets.join(',')} (default: all that this machine has)`,
      listOf(targets),
    )
    .option('--cases <list>', `which inputs: ${cases.join(',')} (default: all)`, listOf(cases))
    .option('--seed <n>', 'of the random inputs', count, 1)
    .option('--json', json)
    .addHelpText(
      'after',
      `\nThe exit code is 1 where an error is beyond its bound; docs/cli.md says how bounds are derived.\n${examples(
        'verify digits.ts',
        'verify resnet50.onnx --targets c,wgsl,js',
      )}`,
    )
    .action(async (model, options) => {
      const { verifyModel } = await import('./commands/verify.ts');
      await verifyModel(model, options, context);
    });
}

function tuneCommand(program: Command, context: Context): void {
  onModel(program, 'tune', 'measures schedules on this machine and writes a record for compile, run and bench')
    .addOption(
      target('what is tuned: c or wgsl, on the device that run takes; js has nothing to choose from').default('c'),
    )
    .option('-o, --out <file>', 'where the record goes (default: NAME.tuning.json)')
    .addOption(threads())
    .option('--seconds <s>', 'time after which no further problem is begun', seconds, 300)
    .option('--json', json)
    .addHelpText(
      'after',
      examples(
        'tune digits.ts --out digits.tuning.json',
        'bench digits.ts --tuning digits.tuning.json',
        'tune digits.ts --target wgsl --out digits.gpu.json',
        'run digits.ts --target wgsl --tuning digits.gpu.json --input image=three.npy --out results',
      ),
    )
    .action(async (model, options) => {
      const { tuneModel } = await import('./commands/tune.ts');
      await tuneModel(model, options, context);
    });
}

function checkCommand(program: Command, context: Context): void {
  program
    .command('check')
    .description('finds shape and dtype errors of a module, with file, line and column')
    .argument('<model...>', 'modules in TypeScript')
    .option('--json', json)
    .addHelpText('after', examples('check digits.ts', 'check src/models/*.ts --json'))
    .action(async (models, options) => {
      const { checkModels } = await import('./commands/check.ts');
      await checkModels(models, options, context);
    });
}
