"""Philox4x32-10 in numpy, written from the paper (Salmon et al., 2011), to check the package's own."""

import numpy as np

MASK = np.uint64(0xFFFFFFFF)
WORD = np.uint64(32)


def words(size, seed, stream=0, offset=0):
    """The first `size` 32-bit words of the sequence from block `offset` on."""
    blocks = (size + 3) // 4
    counter = np.uint64(offset) + np.arange(blocks, dtype=np.uint64)
    c0, c1 = counter & MASK, counter >> WORD
    c2 = np.full(blocks, stream & 0xFFFFFFFF, dtype=np.uint64)
    c3 = np.full(blocks, stream >> 32, dtype=np.uint64)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> WORD) ^ c1 ^ np.uint64(k0),
            p1 & MASK,
            (p0 >> WORD) ^ c3 ^ np.uint64(k1),
            p0 & MASK,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:size]


def uniform(size, seed, stream=0, offset=0):
    """24 random bits each, in [0, 1)."""
    return (words(size, seed, stream, offset) >> np.uint64(8)).astype(np.float64) * 2.0**-24


def normal(size, seed, stream=0, offset=0):
    """Box-Muller over the words (0, 1) and (2, 3) of each block."""
    u = uniform((size + 3) // 4 * 4, seed, stream, offset).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(1 - u[:, 0]))
    angle = 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:size]
