"""Computes test/golden/trace.safetensors: ten SGD steps of AlexNet as PyTorch makes them, in float64.

    python -B test/golden/make_trace.py

from the package's folder, with a Python that has torch, numpy and safetensors; it takes 4 GB and some minutes.
test/parity_trace.test.ts makes the same steps; weights, images and rates must be the same there.

Batch and rate are such that float32 stays near float64: with 8 images, or larger rates, the order of a sum decides
within ten steps which units the ReLUs and maxima let through, and PyTorch in float32 leaves this trace by 1e-3.
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import philox
from alexnet import he_weights
from reference import conv2d, linear, lrn, max_pool2d, sgd_step

CLASSES, BATCH, SEED, INIT_STREAM, IMAGE_STREAM = 10, 4, 20120930, 1, 100
RATES = [1e-4] * 6 + [1e-5] * 4


def forward(p, x):
    norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2}
    y = conv2d(x, p["conv1.weight"], p["conv1.bias"], stride=4, relu=True)
    y = max_pool2d(lrn(y, **norm), 3, 2)
    y = conv2d(y, p["conv2.weight"], p["conv2.bias"], padding=2, relu=True)
    y = max_pool2d(lrn(y, **norm), 3, 2)
    for layer in ["conv3", "conv4", "conv5"]:
        y = conv2d(y, p[f"{layer}.weight"], p[f"{layer}.bias"], padding=1, relu=True)
    y = max_pool2d(y, 3, 2).reshape(len(x), -1)
    y = linear(y, p["fc6.weight"], p["fc6.bias"], relu=True)
    y = linear(y, p["fc7.weight"], p["fc7.bias"], relu=True)
    return linear(y, p["fc8.weight"], p["fc8.bias"])


def main():
    parameters = {}
    for layer, weight in he_weights(1, CLASSES, SEED, INIT_STREAM):
        parameters[f"{layer}.weight"] = weight
        parameters[f"{layer}.bias"] = torch.zeros(len(weight), dtype=torch.float64)
    velocities = {name: torch.zeros_like(w) for name, w in parameters.items()}
    u = torch.from_numpy(philox.uniform(BATCH * 227 * 227 * 3, SEED, IMAGE_STREAM))
    x = (2 * u - 1).reshape(BATCH, 227, 227, 3)
    labels = torch.arange(BATCH) % CLASSES

    losses = []
    for rate in RATES:
        leaves = {name: w.requires_grad_() for name, w in parameters.items()}
        loss = F.cross_entropy(forward(leaves, x), labels)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        losses.append(loss.item())
        print(loss.item(), flush=True)
        with torch.no_grad():
            for (name, w), g in zip(leaves.items(), gradients):
                w = w.detach()
                parameters[name], velocities[name] = sgd_step(w, velocities[name], g, rate, 0.9, 5e-4)
    tensors = parameters | {f"velocity/{name}": v for name, v in velocities.items()}
    golden = {name: t.detach().norm() for name, t in tensors.items()}
    golden["losses"] = torch.tensor(losses, dtype=torch.float64)
    version = torch.__version__.split("+")[0]
    save_file(golden, pathlib.Path(__file__).parent / "trace.safetensors", {"torch": version})


main()
