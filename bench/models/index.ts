// The networks that inference is measured with, by the name that selects them.

import { func, type Tensor } from 'ashlar';
import type { OnnxGraph } from '../onnx-file.ts';
import { AshlarBackend } from './ashlar-net.ts';
import { dcgan } from './dcgan.ts';
import { gpt2, vocabulary } from './gpt2.ts';
import { lstm, lstm64 } from './lstm.ts';
import { fashionSimpleNet, mlp } from './mlp.ts';
import { mobilenetV2 } from './mobilenet.ts';
import { Net } from './net.ts';
import { OnnxBackend } from './onnx-net.ts';
import { resnet18, resnet50 } from './resnet.ts';
import { squeezenet } from './squeezenet.ts';
import { alexnet, vgg16 } from './vgg.ts';

type Operand = { readonly shape: readonly number[] };

export interface Model {
  readonly title: string;
  readonly build: <T extends Operand>(net: Net<T>) => T;
  /** For an input of indices: how many there are to choose from. */
  readonly vocabulary?: number;
}

export const models: Readonly<Record<string, Model>> = {
  mlp: { title: 'MLP 784-512-512-10', build: mlp },
  fashionsimplenet: { title: 'FashionSimpleNet', build: fashionSimpleNet },
  resnet18: { title: 'ResNet-18', build: resnet18 },
  squeezenet: { title: 'SqueezeNet 1.1', build: squeezenet },
  mobilenetv2: { title: 'MobileNetV2', build: mobilenetV2 },
  resnet50: { title: 'ResNet-50', build: resnet50 },
  vgg16: { title: 'VGG-16', build: vgg16 },
  alexnet: { title: 'AlexNet', build: alexnet },
  dcgan: { title: 'DCGAN generator, 64×64', build: dcgan },
  gpt2: { title: 'GPT-2 small, 128 tokens', build: gpt2, vocabulary },
  lstm: { title: 'LSTM 2 × 256, 32 steps', build: lstm },
};

/** What part recurrent measures alone, so that means over the networks above stay what they were. */
export const recurrentModels: Readonly<Record<string, Model>> = {
  lstm64: { title: 'LSTM 128 → 256, 64 steps', build: lstm64 },
};

/** The network of that name, whichever part it belongs to. */
export function modelOf(name: string): Model {
  const model = models[name] ?? recurrentModels[name];
  if (model === undefined) throw new Error(`no model ${name}`);
  return model;
}

/** The model as a function of Ashlar, with its arithmetic. */
export function ashlarModel({ build }: Model, name: string) {
  const backend = new AshlarBackend();
  const net = new Net(backend);
  const y: Tensor = build(net);
  return { definition: func({ name, inputs: backend.inputs, outputs: { y } }), flops: net.flops };
}

export function onnxModel({ build }: Model, name: string): { graph: OnnxGraph; flops: number } {
  const backend = new OnnxBackend();
  const net = new Net(backend);
  const y = build(net);
  return { graph: backend.graph(name, y), flops: net.flops };
}
