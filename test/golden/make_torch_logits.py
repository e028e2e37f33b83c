"""Computes test/golden/torchLogits.safetensors: what PyTorch's two AlexNets make of random pictures, in float64.

    python -B test/golden/make_torch_logits.py

from the package's folder, with a Python that has torch, numpy and safetensors. test/train/torch_files.test.ts draws
the same weights in the same order, in PyTorch's shapes, and imports them.
"""

import math
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn

import philox

CLASSES, PICTURES, SEED, WEIGHT_STREAM, IMAGE_STREAM = 5, 2, 20120930, 1, 100


class TorchvisionAlexNet(nn.Module):
    """torchvision.models.alexnet, as its source has it."""

    size = 224

    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=0.5),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Dansuh17AlexNet(nn.Module):
    """github.com/dansuh17/alexnet-pytorch, as its source has it."""

    size = 227

    def __init__(self, num_classes):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(in_channels=3, out_channels=96, kernel_size=11, stride=4),
            nn.ReLU(),
            nn.LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(96, 256, 5, padding=2),
            nn.ReLU(),
            nn.LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(p=0.5, inplace=True),
            nn.Linear(in_features=(256 * 6 * 6), out_features=4096),
            nn.ReLU(),
            nn.Dropout(p=0.5, inplace=True),
            nn.Linear(in_features=4096, out_features=4096),
            nn.ReLU(),
            nn.Linear(in_features=4096, out_features=num_classes),
        )

    def forward(self, x):
        return self.classifier(self.net(x).view(-1, 256 * 6 * 6))


def draw_weights(model):
    """He's Gaussians, biases of 0.1: one Philox sequence, from which each tensor takes whole blocks of four."""
    offset, drawn = 0, {}
    for name, parameter in model.state_dict().items():
        shape = parameter.shape
        std = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
        z = torch.from_numpy(philox.normal(parameter.numel(), SEED, WEIGHT_STREAM, offset))
        drawn[name] = (std * z).float().reshape(shape)
        offset += (parameter.numel() + 3) // 4
    model.load_state_dict(drawn)


def main():
    golden = {}
    for name, network in {"torchvision": TorchvisionAlexNet, "dansuh17": Dansuh17AlexNet}.items():
        model = network(CLASSES).eval()
        draw_weights(model)
        size = model.size
        u = torch.from_numpy(philox.uniform(PICTURES * size * size * 3, SEED, IMAGE_STREAM))
        x = (2 * u - 1).float().double().reshape(PICTURES, size, size, 3).permute(0, 3, 1, 2).contiguous()
        with torch.no_grad():
            golden[name] = model.double()(x)
        print(name, golden[name])
    version = torch.__version__.split("+")[0]
    save_file(golden, pathlib.Path(__file__).parent / "torchLogits.safetensors", {"torch": version})


if __name__ == "__main__":
    main()
