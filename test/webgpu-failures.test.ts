// What goes wrong with devices, on a real one: each has one clear error, nothing hangs, and a process ends by itself. The
// programs are processes of their own, with a limit of time.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileForWebGpu, func, input, nn, openDevice, variable, type WebGpuDevice } from 'ashlar';
import { compile, nodeGpu, StateStore } from 'ashlar/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits, printWgsl } from '../src/codegen/wgsl/program.ts';
import { InternalError, LimitationError, UserError } from '../src/ir/errors.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { LoadedProgram } from '../src/runtime/webgpu/loaded.ts';
import { WebGpuStateStore } from '../src/runtime/webgpu/state.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const tsx = createRequire(import.meta.url).resolve('tsx/cli');
const device = await testDevice();
const gpu = device as WebGpuDevice;

let folder = '';
beforeAll(() => {
  mkdirSync(join(project, '.cache'), { recursive: true });
  folder = mkdtempSync(join(project, '.cache', 'webgpu-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A program of a user, which has 60 seconds to end by itself. */
function inProcess(body: string, env: NodeJS.ProcessEnv = {}) {
  const path = join(folder, 'program.ts');
  const head = `
    import { func, input, openDevice } from 'ashlar';
    import { compile, nodeGpu } from 'ashlar/node';
    const x = input('x', [4]);
    const given = { x: Float32Array.of(1, 2, 3, 4) };
    const doubled = () => func({ name: 'doubled', inputs: [x], outputs: { y: x.mul(2) } });
    const said = (promise: Promise<unknown>) => promise.then(() => 'no error', (error) => error.name + ': ' + error.message);
  `;
  writeFileSync(path, head + body);
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [tsx, path], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, TSX_TSCONFIG_PATH: join(project, 'tsconfig.json'), ...env },
  });
  return { ended: signal === null, status, lines: stdout.trimEnd().split('\n'), stderr };
}

const x = input('x', [4]);
const doubled = func({ name: 'doubled', inputs: [x], outputs: { y: x.mul(2) } });
const given = { x: Float32Array.of(1, 2, 3, 4) };

describe.skipIf(typeof device === 'string')(titleOf('a process on WebGPU', device), () => {
  it('ends by itself when its work is done; functions share the device that is found', () => {
    const { ended, status, lines, stderr } = inProcess(
      `
      const first = await compile(doubled());
      const second = await compile(doubled(), { target: 'wgsl' });
      console.log(first.target, first.state.device === second.state.device, (await first(given)).y.join(' '));
      `,
      { ASHLAR_TARGET: 'wgsl' },
    );
    expect(stderr).toBe('');
    expect({ ended, status, lines }).toEqual({ ended: true, status: 0, lines: ['wgsl true 2 4 6 8'] });
  });

  it('loses its device between calls, during one, and while compiling; another is found', () => {
    const { ended, status, lines } = inProcess(`
      const run = await compile(doubled(), { target: 'wgsl' });
      const during = said(run(given));
      run.state.device.destroy();
      console.log(await during);
      console.log(await said(run(given)));
      console.log(await said(run(given, { outputs: [] })));
      console.log(await said(run.profile()));
      const other = await openDevice(await nodeGpu());
      const compiling = said(compile(doubled(), { device: other }));
      other.device.destroy();
      console.log(await compiling);
      console.log((await (await compile(doubled(), { target: 'wgsl' }))(given)).y.join(' '));
    `);
    const lost =
      'UserError: the GPU device was destroyed. Open a new device and compile again; state on the old one is gone';
    expect({ ended, status, lines }).toEqual({
      ended: true,
      status: 0,
      lines: [lost, lost, lost, lost, lost, '2 4 6 8'],
    });
  });

  it.skipIf(process.platform !== 'linux')('runs out of memory, and goes on', () => {
    const { ended, lines } = inProcess(`
      import { spawnSync } from 'node:child_process';
      import { readFileSync } from 'node:fs';
      const device = await openDevice(await nodeGpu());
      const kilobytes = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
      const limit = kilobytes * 1024 + 300 * 2 ** 20;
      const { status } = spawnSync('prlimit', ['--pid', String(process.pid), '--as=' + limit]);
      if (status !== 0) throw new Error('prlimit cannot be run');
      console.log(await said(device.allocate('arena', 900 * 2 ** 20)));
      console.log(await said(device.allocate('inputs', 1024)));
    `);
    expect(ended).toBe(true);
    expect(lines[0]).toMatch(
      /^LimitationError: arena of 943718400 bytes: the device is out of memory \(.*OUT_OF_DEVICE_MEMORY/,
    );
    expect(lines[1]).toBe('no error');
  });
});

describe('a machine without an adapter', () => {
  it('says how one is had', () => {
    const { ended, lines } = inProcess(`console.log(await said(compile(doubled(), { target: 'wgsl' })));`, {
      VK_DRIVER_FILES: '/nowhere/icd.json',
      ASHLAR_VULKAN_DRIVER: '',
    });
    expect(ended).toBe(true);
    expect(lines.at(-1)).toMatch(
      /^UserError: WebGPU finds no adapter: .*Install a Vulkan driver.*or compile for target c or js$/,
    );
  });
});

describe.skipIf(typeof device === 'string')(titleOf('a device', device), () => {
  afterAll(() => gpu.destroy());

  it('refuses a shader that is wrong, with the kernel', async () => {
    const program = compileToProgram(doubled.func, { machine: gpuMachine(defaultGpu) });
    const printed = printWgsl(program, () => expect.fail('no states'));
    const [module] = printed.modules;
    const broken = (code: string) => ({ ...printed, modules: [{ ...module!, code }] });
    const load = (code: string) => LoadedProgram.load(broken(code), gpu, new WebGpuStateStore(gpu));
    for (const code of ['fn main(', module!.code.replace('@workgroup_size(', '@workgroup_size(4096 * ')]) {
      const error = await load(code).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InternalError);
      expect((error as Error).message).toMatch(new RegExp(`^internal error, please report: kernel ${module!.name}: `));
    }
    // The device goes on.
    const run = await compileForWebGpu(doubled, { device: gpu });
    expect([...(await run(given)).y]).toEqual([2, 4, 6, 8]);
  });

  it('that is too small says which limit, what is needed and what there is', () => {
    const rows = input('rows', [300, 200]);
    const softmax = func({ inputs: [rows], outputs: { y: nn.softmax(rows, -1) } });
    const program = compileToProgram(softmax.func, { machine: gpuMachine(defaultGpu) });
    const refusal = (limits: Partial<typeof defaultLimits>): string => {
      try {
        printWgsl(program, () => expect.fail('no states'), { ...defaultLimits, ...limits });
        return 'no error';
      } catch (error) {
        expect(error).toBeInstanceOf(LimitationError);
        return (error as Error).message;
      }
    };
    expect(refusal({})).toBe('no error');
    expect(refusal({ maxComputeWorkgroupStorageSize: 8 })).toMatch(
      /^kernel \w+ needs \d+ bytes that a workgroup shares; this device has 8 \(limit maxComputeWorkgroupStorageSize\)$/,
    );
    expect(refusal({ maxComputeInvocationsPerWorkgroup: 16 })).toMatch(
      /needs \d+ invocations in a workgroup; this device has 16 \(limit maxComputeInvocationsPerWorkgroup\)$/,
    );
    expect(refusal({ maxStorageBuffersPerShaderStage: 1 })).toMatch(
      /reads and writes 2 blocks of memory; a shader of this device has 1 bindings \(limit maxStorageBuffersPerShaderStage\)$/,
    );
    expect(refusal({ maxStorageBufferBindingSize: 1000 })).toMatch(
      /takes 240000 bytes; a binding of this device holds 1000 \(limit maxStorageBufferBindingSize\)$/,
    );
  });

  it('refuses results that no buffer holds, before anything runs', async () => {
    const { maxBufferSize } = gpu.limits;
    await expect(gpu.allocate('inputs', maxBufferSize + 4)).rejects.toThrow(
      `inputs: ${maxBufferSize + 4} bytes needed, a buffer of this device holds ${maxBufferSize} (limit maxBufferSize)`,
    );
  });

  it('refuses the states of another device, and of another target', async () => {
    const other = await openDevice(await nodeGpu());
    const w = variable('w', [4], { initial: () => [1, 2, 3, 4] });
    const make = () => func({ inputs: [x], outputs: { y: x.mul(w) } });
    const there = await compileForWebGpu(make(), { device: other });
    await expect(compileForWebGpu(make(), { device: gpu, state: there.state })).rejects.toThrow(
      /the state given lies on another device/,
    );
    await expect(compile(make(), { target: 'wgsl', state: new StateStore() })).rejects.toThrow(
      "target wgsl keeps states on a device; the store given is in this process's memory",
    );
    await expect(compile(make(), { target: 'c', state: there.state })).rejects.toThrow(
      "target c keeps states in this process's memory; the store given is on a device. Give StateStore.copyOf(store)",
    );
    const copy = await compile(make(), { target: 'c', state: await StateStore.copyOf(there.state) });
    expect([...copy(given).y]).toEqual([1, 4, 9, 16]);
    other.destroy();
    await expect(there.state.get('w')).rejects.toThrow(/the GPU device was destroyed/);
    await Promise.resolve();
    expect(() => there.state.set('w', [1, 2, 3, 4])).toThrow(UserError);
  });

  it('refuses states that were destroyed, wherever they are used', async () => {
    const w = variable('w', [4], { initial: () => [1, 2, 3, 4] });
    const make = () => func({ inputs: [x], outputs: { y: x.mul(w) } });
    const run = await compileForWebGpu(make(), { device: gpu });
    const shares = await compileForWebGpu(make(), { device: gpu, state: run.state });
    const frozen = await compileForWebGpu(make(), { device: gpu, state: run.state, freeze: true });
    run.state.destroy();
    const gone = 'these states were destroyed; compile the function again, with another store or none';
    for (const use of [run(given), shares(given), run.profile(), run.state.get('w'), StateStore.copyOf(run.state)])
      await expect(use).rejects.toThrow(gone);
    expect(() => run.state.set('w', [1, 2, 3, 4])).toThrow(gone);
    await expect(compileForWebGpu(make(), { device: gpu, state: run.state })).rejects.toThrow(gone);
    expect([...(await frozen(given)).y]).toEqual([1, 4, 9, 16]);
    run.state.destroy();
    frozen.destroy();
  });

  it('refuses options of other targets', async () => {
    const refused = (options: object) => compile(doubled, { target: 'wgsl', device: gpu, ...options });
    await expect(refused({ threads: 2 })).rejects.toThrow('target wgsl has no threads to set, 2 given');
    await expect(refused({ compiler: 'gcc' })).rejects.toThrow('target wgsl takes no compiler; leave it out');
    await expect(refused({ cpu: 'native' })).rejects.toThrow('target wgsl is not compiled for a processor');
    await expect(refused({ tuning: 'none.json' })).rejects.toThrow('the tuning record none.json cannot be read');
    await expect(compile(doubled, { target: 'js', tuning: 'x.json' })).rejects.toThrow('target js takes no tuning');
    await expect(compile(doubled, { target: 'js', device: gpu })).rejects.toThrow('target js runs on no device');
  });

  it('writes results to the arrays given, after calls made before', async () => {
    const count = variable('count', [1], { initial: () => [0] });
    const counting = func({ outputs: { count: count.mul(1) }, updates: [[count, count.add(1)]] });
    const run = await compile(counting, { target: 'wgsl', device: gpu });
    const mine = new Float32Array(1);
    const calls = [run({}), run({}, { outputs: [] }), run({}, { outputs: { count: mine } }), run.state.get('count')];
    const [first, second, third, state] = (await Promise.all(calls)) as [
      { count: Float32Array },
      object,
      { count: Float32Array },
      Float32Array,
    ];
    expect([first.count[0], second, third.count[0], state[0]]).toEqual([0, {}, 2, 3]);
    expect(third.count).toBe(mine);
    await expect(run({}, { outputs: { count: new Float32Array(2) } })).rejects.toThrow(/1 elements expected, 2 given/);
  });

  it('takes weights from tensors', async () => {
    const w = variable('w', [4], { initial: () => [0, 0, 0, 0] });
    const scaled = () => func({ inputs: [x], outputs: { y: x.mul(w) } });
    const tensors = (shape: number[]) =>
      new Map([['w', { dtype: 'f32', shape, data: Float32Array.of(1, 2, 3, 4) }]] as const);
    const run = await compile(scaled(), { device: gpu, weights: tensors([4]) });
    expect([...(await run(given)).y]).toEqual([1, 4, 9, 16]);
    expect(run.state.names()).toEqual([]);
    await expect(compile(scaled(), { device: gpu, weights: tensors([2, 2]) })).rejects.toThrow(
      'weights: tensor "w": f32[4] expected, f32[2,2] found',
    );
    const inC = await compile(scaled(), { target: 'c', weights: tensors([4]) });
    expect([...inC(given).y]).toEqual([1, 4, 9, 16]);
  });

  it('names the line of each kernel that it times', async () => {
    const run = await compile(func({ inputs: [x], outputs: { y: x.mul(3) } }), { device: gpu });
    if (!gpu.device.features.has('timestamp-query')) {
      await expect(run.profile()).rejects.toThrow(/timestamp-query/);
      return;
    }
    await run(given);
    const [time] = await run.profile();
    expect(time!.source!.file).toMatch(/webgpu-failures\.test\.ts$/);
    expect(time!.source!.line).toBeGreaterThan(200);
    expect(time!.nanoseconds).toBeGreaterThanOrEqual(0);
  });
});
