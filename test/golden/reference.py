"""The operations in PyTorch, float64, with the arguments and the layouts (NHWC, KRSC) of lib/ops."""

import numpy as np
import torch
import torch.nn.functional as F

import philox


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, relu=False):
    y = F.conv2d(nchw(x), nchw(weight), bias, pair(stride), pair(padding), pair(dilation), groups)
    return nhwc(F.relu(y) if relu else y)


def max_pool2d(x, kernelSize, stride=None, padding=0):
    strides = pair(kernelSize if stride is None else stride)
    return nhwc(F.max_pool2d(nchw(x), pair(kernelSize), strides, pair(padding)))


def lrn(x, size=5, alpha=1e-4, beta=0.75, k=1.0, groups=1):
    n, h, w, c = x.shape
    columns = nchw(x).reshape(n * groups, c // groups, h, w)
    return nhwc(F.local_response_norm(columns, size, alpha, beta, k).reshape(n, c, h, w))


def linear(x, weight, bias=None, relu=False):
    y = F.linear(x, weight, bias)
    return F.relu(y) if relu else y


def dropout(x, p, scale, seed, stream, offset, width=None, stride=None):
    width = width or x.numel()
    rows = x.numel() // width
    u = philox.uniform(rows * (stride or width), seed, stream, offset).reshape(rows, -1)[:, :width]
    u = torch.from_numpy(u.copy()).reshape(x.shape)
    return torch.where(u >= p, x * scale, torch.zeros_like(x))


def rand(shape, seed, stream=0, offset=0, low=0.0, high=1.0):
    u = philox.uniform(int(np.prod(shape)), seed, stream, offset)
    return torch.from_numpy(low + (high - low) * u).reshape(shape)


def randn(shape, seed, stream=0, offset=0, mean=0.0, std=1.0):
    z = philox.normal(int(np.prod(shape)), seed, stream, offset)
    return torch.from_numpy(mean + std * z).reshape(shape)


def top_k_hits(logits, labels, k):
    hits = []
    for row, label in zip(logits.tolist(), labels.tolist()):
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))
        hits.append(int(label in order[:k]))
    return torch.tensor(hits, dtype=torch.int32)


def sgd_step(w, v, g, lr, momentum, weightDecay):
    """The paper's rule, which is not that of torch.optim.SGD once the rate changes."""
    v = momentum * v - weightDecay * lr * w - lr * g
    return w + v, v


def sgd_steps(w, v, g, steps, **params):
    for _ in range(steps):
        w, v = sgd_step(w, v, g, **params)
    return {"w": w, "v": v}


def adam_steps(w, m, v, g, steps, lr, beta1, beta2, eps, weightDecay, step):
    w = w.clone()
    adam = torch.optim.Adam([w], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weightDecay)
    adam.state[w] = {"step": torch.tensor(float(step - 1)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    for _ in range(steps):
        w.grad = g.clone()
        adam.step()
    return {"w": w, "m": adam.state[w]["exp_avg"], "v": adam.state[w]["exp_avg_sq"]}


def prepare_images(images, crops, mean, scale, shift, height, width, outputSize):
    output_height, output_width = outputSize or (height, width)
    pictures = []
    for n, (top, left, flip) in enumerate(crops.tolist()):
        window = np.s_[top : top + height, left : left + width]
        picture = images[n].double()[window]
        picture = (picture.flip(1) if flip else picture) - mean
        if shift is not None:
            picture = picture + shift[n]
        padding = (0, 0, 0, output_width - width, 0, output_height - height)
        pictures.append(F.pad(picture * scale, padding))
    return torch.stack(pictures)


def small_alexnet(x, conv1, bias1, conv2, bias2, conv3, bias3, fc1, bias4, fc2, bias5, labels):
    norm = {"alpha": 0.1, "groups": 2}
    y = conv2d(x, conv1, bias1, stride=2, relu=True)
    y = max_pool2d(lrn(y, **norm), 3, 2)
    y = conv2d(y, conv2, bias2, padding=2, groups=2, relu=True)
    y = conv2d(lrn(y, **norm), conv3, bias3, padding=1, relu=True)
    y = max_pool2d(y, 3, 2)
    y = linear(y.reshape(y.shape[0], -1), fc1, bias4, relu=True)
    y = dropout(y, p=0.5, scale=2, seed=5, stream=1, offset=0)
    return F.cross_entropy(linear(y, fc2, bias5), labels.long())
