"""Computes test/golden/<op>.safetensors: what PyTorch makes of test/cases in float64, outputs and gradients.

    node --import tsx test/golden/export_cases.ts | python -B test/golden/make_golden.py

from the package's folder, with a Python that has torch, numpy and safetensors. For all operations, or those that are
named as arguments.
"""

import json
import pathlib
import sys

import torch
from safetensors.numpy import save_file

import philox
import reference

HERE = pathlib.Path(__file__).parent
DTYPES = {"float32": torch.float64, "int32": torch.int32, "uint8": torch.uint8}


def golden_of_case(table, case):
    inputs = {}
    for name, spec in case["inputs"].items():
        inputs[name] = torch.tensor(spec["values"], dtype=DTYPES[spec["dtype"]]).reshape(spec["shape"])
        inputs[name].requires_grad_(name in case["gradients"])
    scope = {**vars(reference), **{name: None for name in table["names"]}, **inputs, **case["params"]}
    scope["params"] = case["params"]
    outputs = eval(table["torch"], scope)
    if isinstance(outputs, torch.Tensor):
        outputs = {"y": outputs}
    golden = {f"{case['name']}/{name}": y.detach() for name, y in outputs.items()}
    if case["gradients"]:
        y = outputs["y"]
        u = philox.uniform(y.numel(), case["cotangentSeed"])
        y.backward(torch.from_numpy(2 * u - 1).reshape(y.shape))
        for name in case["gradients"]:
            golden[f"{case['name']}/d{name}"] = inputs[name].grad
    return golden


def main():
    torch.set_num_threads(1)
    for table in json.load(sys.stdin):
        if len(sys.argv) > 1 and table["op"] not in sys.argv[1:]:
            continue
        golden = {}
        for case in table["cases"]:
            golden |= golden_of_case(table, case)
        arrays = {name: y.contiguous().numpy() for name, y in golden.items()}
        # Without the build, the local part of the version: the numbers do not depend on it.
        version = torch.__version__.split("+")[0]
        save_file(arrays, HERE / f"{table['op']}.safetensors", {"torch": version})
        print(table["op"], sum(a.nbytes for a in arrays.values()), "bytes")


main()
