"""AlexNet's two normalisation layers (paper preset: inside each column) by PyTorch in eager mode on a CPU.

  python bench/peers/lrn_torch.py BATCH REPEATS [THREADS]

Prints one JSON object: version, threads, and milliseconds by layer and pass. PyTorch is not a dependency of this package.
"""
import json
import statistics
import sys
import time

import torch

batch, repeats, *threads = map(int, sys.argv[1:])
if threads:
    torch.set_num_threads(*threads)


def measure(channels, size):
    x = torch.randn(batch * 2, channels // 2, size, size, requires_grad=True)
    dy = torch.randn_like(x)
    forward, backward = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        y = torch.nn.functional.local_response_norm(x, 5, 5e-4, 0.75, 2.0)
        middle = time.perf_counter()
        y.backward(dy)
        end = time.perf_counter()
        x.grad = None
        forward.append((middle - start) * 1000)
        backward.append((end - middle) * 1000)
    return {'forward': statistics.median(forward[1:]), 'backward': statistics.median(backward[1:])}


print(json.dumps({'version': torch.__version__, 'threads': torch.get_num_threads(),
                  'layers': {'norm1': measure(96, 55), 'norm2': measure(256, 27)}}))
