"""Exports torchvision's classifiers and a GPT-2 to ONNX, with seeded weights, an input and PyTorch's own answer.

Usage: export_models.py FOLDER [NAME ...]. Writes NAME.onnx, NAME.input.npy and NAME.output.npy for each name; what is
there already stays. Nothing is downloaded.
"""

import json
import math
import os
import sys

import numpy
import torch
import torchvision
from torch import nn

operator_set = 16  # the newest that PyTorch 1.13 writes for all of these


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.joined = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape

        def split(part):
            return part.view(batch, tokens, self.heads, self.depth).transpose(1, 2)

        query, key, value = (split(part) for part in self.joined(x).split(width, dim=2))
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.depth)
        seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()
        weights = torch.softmax(scores.masked_fill(~seen, torch.finfo(torch.float32).min), dim=-1)
        return self.mixed((weights @ value).transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.before_dense = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.before_attention(x))
        y = self.wide(self.before_dense(x))
        gelu = 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        return x + self.narrow(gelu)


class Gpt2(nn.Module):
    """GPT-2 small (A. Radford et al. 2019); the head's weight is the embedding."""

    def __init__(self, vocabulary=50257, positions=1024, width=768, heads=12, blocks=12):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.last = nn.LayerNorm(width)
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids):
        places = torch.arange(ids.shape[1]).unsqueeze(0)
        x = self.blocks(self.tokens(ids) + self.positions(places))
        return self.last(x) @ self.tokens.weight.t()


names = ["alexnet", "resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1", "densenet121", "vgg16", "gpt2"]


def make(name):
    """The network and its input. Running statistics differ from channel to channel, as after training."""
    torch.manual_seed(20)
    if name == "gpt2":
        return Gpt2().eval(), torch.randint(0, 50257, (1, 128))
    model = getattr(torchvision.models, name)(weights=None).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model, torch.rand(1, 3, 224, 224) * 2 - 1


def export(name, folder):
    path = os.path.join(folder, name)
    if os.path.exists(path + ".output.npy"):
        return
    print(name, file=sys.stderr, flush=True)
    model, given = make(name)
    with torch.no_grad():
        answer = model(given)
    # A language model's length is a dimension with a name, as such models are exported.
    dynamic = {"ids": {1: "tokens"}, "logits": {1: "tokens"}} if name == "gpt2" else None
    torch.onnx.export(
        model,
        given,
        path + ".onnx",
        input_names=["ids" if name == "gpt2" else "image"],
        output_names=["logits"],
        opset_version=operator_set,
        dynamic_axes=dynamic,
    )
    numpy.save(path + ".input.npy", given.numpy())
    numpy.save(path + ".output.npy", answer.numpy())


target = sys.argv[1]
os.makedirs(target, exist_ok=True)
for wanted in sys.argv[2:] or names:
    export(wanted, target)
with open(os.path.join(target, "exported-by.json"), "w") as record:
    json.dump({"torch": torch.__version__, "torchvision": torchvision.__version__, "opset": operator_set}, record)
