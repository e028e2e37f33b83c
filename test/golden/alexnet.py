"""AlexNet's weights, as lib/models/alexnet.ts draws them."""

import math

import torch

import philox


def he_weights(groups, classes, seed, stream):
    """Of `init: 'he'`: one Philox sequence, from which each weight takes whole blocks of four."""
    shapes = {
        "conv1": [96, 11, 11, 3],
        "conv2": [256, 5, 5, 96 // groups],
        "conv3": [384, 3, 3, 256],
        "conv4": [384, 3, 3, 384 // groups],
        "conv5": [256, 3, 3, 384 // groups],
        "fc6": [4096, 9216],
        "fc7": [4096, 4096],
        "fc8": [classes, 4096],
    }
    offset = 0
    for layer, shape in shapes.items():
        size = math.prod(shape)
        std = 0.01 if layer == "fc8" else math.sqrt(2 / math.prod(shape[1:]))
        z = torch.from_numpy(philox.normal(size, seed, stream, offset))
        yield layer, (std * z).float().double().reshape(shape)
        offset += (size + 3) // 4
