"""The PyTorch half of bench/training-vs-pytorch.ts: the same models from PyTorch's own modules, in eager mode.

Started as `pytorch_steps.py MODEL WEIGHTS BATCH` (two safetensors files). It answers each line of JSON on its standard
input with one on its standard output: {"losses": n} with the losses of n steps, {"threads": n} with the number set,
{"run": n} with the seconds that n steps took by the wall and of the
processor. Dense weights arrive as [inputs, outputs] and are transposed here.
"""

import json
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn import functional as F


def read_safetensors(path):
    """The tensors of a file by name. (Format: huggingface/safetensors, README.)"""
    with open(path, "rb") as file:
        content = file.read()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    dtypes = {"F32": numpy.float32, "I32": numpy.int32}

    def tensor(entry):
        begin, end = entry["data_offsets"]
        elements = numpy.frombuffer(content[8 + length + begin : 8 + length + end], dtypes[entry["dtype"]])
        return torch.from_numpy(elements.reshape(entry["shape"]).copy())

    return {name: tensor(entry) for name, entry in header.items() if name != "__metadata__"}


class LstmClassifier(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.classify = nn.Linear(hidden, 10)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.classify(h[-1])


class TransformerClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(1000, 128)
        self.positions = nn.Parameter(torch.zeros(64, 128))
        layers = [
            nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        ]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(128)
        self.classify = nn.Linear(128, 10)

    def forward(self, x):
        value = self.tokens(x) + self.positions
        for layer in self.layers:
            value = layer(value)
        return self.classify(self.norm(value).mean(1))


def dense(name, module):
    return {f"{name}.weight": (module.weight, True), f"{name}.bias": (module.bias, False)}


def plain(name, module):
    return {f"{name}.weight": (module.weight, False), f"{name}.bias": (module.bias, False)}


def norm(name, module):
    return {f"{name}.scale": (module.weight, False), f"{name}.shift": (module.bias, False)}


def mlp():
    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    return model, {**dense("dense1", model[0]), **dense("dense2", model[2]), **dense("dense3", model[4])}


def fashion():
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    names = {**plain("conv1", model[0]), **plain("conv2", model[3])}
    return model, {**names, **dense("dense1", model[7]), **dense("dense2", model[9])}


def lstm(inputs, hidden):
    model = LstmClassifier(inputs, hidden)
    names = {
        "lstm.weight_ih": (model.lstm.weight_ih_l0, True),
        "lstm.weight_hh": (model.lstm.weight_hh_l0, True),
        "lstm.bias_ih": (model.lstm.bias_ih_l0, False),
        "lstm.bias_hh": (model.lstm.bias_hh_l0, False),
    }
    return model, {**names, **dense("classify", model.classify)}


def transformer():
    model = TransformerClassifier()
    names = {"tokens": (model.tokens.weight, False), "positions": (model.positions, False)}
    for i, layer in enumerate(model.layers):
        mix = layer.self_attn
        names.update(norm(f"layer{i}.norm1", layer.norm1))
        names[f"layer{i}.attention.in.weight"] = (mix.in_proj_weight, True)
        names[f"layer{i}.attention.in.bias"] = (mix.in_proj_bias, False)
        names.update(dense(f"layer{i}.attention.out", mix.out_proj))
        names.update(norm(f"layer{i}.norm2", layer.norm2))
        names.update(dense(f"layer{i}.widen", layer.linear1))
        names.update(dense(f"layer{i}.narrow", layer.linear2))
    return model, {**names, **norm("norm", model.norm), **dense("classify", model.classify)}


def load(model, names, weights):
    """Copies every weight; neither side may have one that the other lacks."""
    if set(names) != set(weights):
        sys.exit(f"weights differ: {sorted(set(names) ^ set(weights))}")
    if {id(parameter) for parameter, _ in names.values()} != {id(parameter) for parameter in model.parameters()}:
        sys.exit("a parameter of the model has no name here")
    with torch.no_grad():
        for name, (parameter, transposed) in names.items():
            parameter.copy_(weights[name].T if transposed else weights[name])


def stepper(model, batch):
    """One training step as PyTorch's documentation writes it; gradients are dropped rather than zeroed, which is faster."""
    x = batch["x"] if batch["x"].dtype == torch.float32 else batch["x"].long()
    y = batch["y"].long()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def run(step, count):
    step()  # the other side's turn has emptied the caches
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        step()
    return {"seconds": time.perf_counter() - start, "cpuSeconds": time.process_time() - cpu}


def main():
    _, name, weights, batch = sys.argv
    models = {
        "mlp": mlp,
        "fashion": fashion,
        "lstm": lambda: lstm(28, 128),
        "lstm64": lambda: lstm(128, 256),
        "transformer": transformer,
    }
    model, names = models[name]()
    load(model, names, read_safetensors(weights))
    step = stepper(model, read_safetensors(batch))
    answers = {
        "losses": lambda count: [step().item() for _ in range(count)],
        "threads": lambda count: (torch.set_num_threads(count), torch.get_num_threads())[1],
        "run": lambda count: run(step, count),
    }
    print(json.dumps({"version": torch.__version__, "configuration": torch.__config__.show()}), flush=True)
    for line in sys.stdin:
        [(what, count)] = json.loads(line).items()
        print(json.dumps(answers[what](count)), flush=True)


main()
