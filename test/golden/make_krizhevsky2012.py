"""Computes test/golden/krizhevsky2012.safetensors: what the network of 2012 makes of two pictures, in float64.

    python -B test/golden/make_krizhevsky2012.py

from the package's folder, with a Python that has torch, numpy and safetensors. The layers are those of
github.com/computerhistory/AlexNet-Source-Code, layers/layers-145.cfg, without cnorm2; test/models/krizhevsky2012.test.ts
draws the same weights, pictures and mean image.
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import philox
from alexnet import he_weights
from reference import conv2d, linear, lrn, max_pool2d

CLASSES, SEED, INIT_STREAM, IMAGE_STREAM, MEAN_STREAM = 5, 20120930, 1, 100, 101
SIZE, CROP = 230, 224
PLACES = [(1, 2, 1), (6, 0, 0)]


def inputs():
    u = torch.from_numpy(philox.uniform(len(PLACES) * SIZE * SIZE * 3, SEED, IMAGE_STREAM))
    pictures = (256 * u).floor().reshape(len(PLACES), SIZE, SIZE, 3)
    mean = torch.from_numpy(philox.uniform(SIZE * SIZE * 3, SEED, MEAN_STREAM)).mul(255).float().double()
    border = (SIZE - CROP) // 2
    centre = mean.reshape(SIZE, SIZE, 3)[border : border + CROP, border : border + CROP]
    crops = []
    for picture, (top, left, flip) in zip(pictures, PLACES):
        crop = picture[top : top + CROP, left : left + CROP]
        crops.append(((crop.flip(1) if flip else crop) - centre) / 60)
    return torch.stack(crops)


def forward(w, x):
    norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2, "groups": 2}
    # The rounding of the code of 2012: the last window of conv1 reaches three pixels over the edge, where zeros are.
    y = conv2d(F.pad(x, (0, 0, 0, 3, 0, 3)), w["conv1"], None, stride=4)
    y = torch.relu(max_pool2d(lrn(y, **norm), 3, 2))
    y = conv2d(y, w["conv2"], None, padding=2, groups=2, relu=True)
    y = max_pool2d(lrn(y, **norm), 3, 2)
    y = conv2d(y, w["conv3"], None, padding=1, relu=True)
    y = conv2d(y, w["conv4"], None, padding=1, groups=2, relu=True)
    y = conv2d(y, w["conv5"], None, padding=1, groups=2)
    y = torch.relu(max_pool2d(y, 3, 2)).reshape(len(x), -1)
    for layer in ["fc6", "fc7"]:
        y = linear(y, w[layer], None, relu=True) / 2
    return linear(y, w["fc8"], None)


def main():
    logits = forward(dict(he_weights(2, CLASSES, SEED, INIT_STREAM)), inputs())
    print(logits)
    version = torch.__version__.split("+")[0]
    save_file({"logits": logits}, pathlib.Path(__file__).parent / "krizhevsky2012.safetensors", {"torch": version})


main()
