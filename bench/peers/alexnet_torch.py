"""AlexNet (paper preset: 227 pixels, groups, LRN inside each column) in PyTorch, for comparison on the same machine.

  python bench/peers/alexnet_torch.py train|infer BATCH STEPS [--seconds S] [--threads N] [--compile]
      [--channels-last] [--device cuda]

STEPS are measured at most, and none begins after S seconds and three steps. Prints one JSON object. PyTorch is not a dependency of this package.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn


class ColumnLRN(nn.Module):
    """Local response normalisation within each of the two columns' channels; alpha as the paper prints it."""

    def forward(self, x):
        n, c, h, w = x.shape
        columns = x.reshape(n * 2, c // 2, h, w)
        return nn.functional.local_response_norm(columns, 5, 5e-4, 0.75, 2.0).reshape(n, c, h, w)


def alexnet(classes=1000):
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(True), ColumnLRN(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), ColumnLRN(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(True), nn.Dropout(0.5),
        nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(0.5),
        nn.Linear(4096, classes),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('kind', choices=['train', 'infer'])
    parser.add_argument('batch', type=int)
    parser.add_argument('steps', type=int)
    parser.add_argument('--seconds', type=float, default=float('inf'))
    parser.add_argument('--threads', type=int)
    parser.add_argument('--compile', action='store_true')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    net = alexnet().to(args.device)
    x = torch.randn(args.batch, 3, 227, 227, device=args.device)
    labels = torch.arange(args.batch, device=args.device) % 1000
    if args.channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    forward = torch.compile(net) if args.compile else net
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(forward(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer():
        with torch.inference_mode():
            return forward(x).cpu()

    step = train if args.kind == 'train' else infer
    if args.kind == 'infer':
        net.eval()
    for _ in range(2):
        step()
    times = []
    end = time.perf_counter() + args.seconds
    while len(times) < args.steps and (len(times) < 3 or time.perf_counter() < end):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1000)
    print(json.dumps({
        'batch': args.batch,
        'imagesPerSecond': args.batch / statistics.median(times) * 1000,
        'stepMs': {'median': statistics.median(times), 'p99': sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]},
        'peakResidentBytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        'version': torch.__version__,
        'threads': torch.get_num_threads(),
    }))


main()
