"""PyTorch's side of the comparison on a card: reads one JSON order a line, answers each with one line of JSON.

Expressions are f32 with TF32 off. Arrays travel through files of raw f32. Without CUDA it computes on the CPU, so that
results can be compared, and times nothing.
"""

import json
import sys
import time

import numpy
import torch
import torch.nn.functional as functional

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
cuda = torch.cuda.is_available()
device = torch.device("cuda" if cuda else "cpu")

expressions = {
    "matmul": lambda a, b: torch.matmul(a, b),
    "double": lambda x: x * 2,
    "add": lambda x, y: x + y,
    "gelu": lambda x: functional.gelu(x, approximate="tanh"),
    "sum": lambda x: x.sum(),
    "rowSum": lambda x: x.sum(1),
    "columnSum": lambda x: x.sum(0),
    "rowMax": lambda x: x.amax(1),
    "softmax": lambda x: torch.softmax(x, 1),
    "layerNorm": lambda x: functional.layer_norm(x, x.shape[1:]),
    "transpose": lambda x: x.t().contiguous(),
}
state = {}


def load(order):
    """Reads the operands, computes once and writes the result."""
    operands = [
        torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32).reshape(shape)).to(device)
        for path, shape in zip(order["files"], order["shapes"])
    ]
    state["run"] = lambda: expressions[order["expression"]](*operands)
    with torch.no_grad():
        state["run"]().cpu().numpy().tofile(order["result"])
    return {}


def timed(order):
    """Milliseconds of each run by the card's clock, and of all by the host's, divided by their number."""
    if not cuda:
        return {"device": [], "wall": None}
    marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(order["runs"])]
    with torch.no_grad():
        state["run"]()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in marks:
            state["run"]()
        torch.cuda.synchronize()
        wall = (time.perf_counter() - start) * 1000 / order["runs"]
        for begin, end in marks:
            begin.record()
            state["run"]()
            end.record()
        torch.cuda.synchronize()
    return {"device": [begin.elapsed_time(end) for begin, end in marks], "wall": wall}


def unload(_order):
    state.clear()
    if cuda:
        torch.cuda.empty_cache()
    return {}


name = torch.cuda.get_device_name() if cuda else "no CUDA"
print(json.dumps({"cuda": cuda, "torch": torch.__version__, "device": name}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    try:
        answer = {"load": load, "time": timed, "unload": unload}[order["do"]](order)
    except Exception as error:  # what it was asked for failed; the next order may not
        answer = {"error": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps(answer), flush=True)
