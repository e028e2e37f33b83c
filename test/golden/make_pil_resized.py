"""Makes test/golden/pilResized/*.png: what torchvision's Resize(64) and CenterCrop(64) make of PIL images, written out.

    python -B test/golden/make_pil_resized.py

from the package's folder, with a Python that has numpy and Pillow. test/data/decode.test.ts draws the same pictures.
"""

import pathlib

import numpy as np
from PIL import Image

SIZE = 64
OUT = pathlib.Path("test/golden/pilResized")


def drawn(width, height):
    y, x, channel = np.mgrid[0:height, 0:width, 0:3]
    value = 13 * x + 7 * y + x * y // 50 + 31 * channel
    return abs(value % 510 - 255).astype(np.uint8)


OUT.mkdir(exist_ok=True)
for width, height in [(300, 225), (150, 203), (449, 611)]:
    picture = Image.fromarray(drawn(width, height))
    shorter = min(width, height)
    picture = picture.resize((int(SIZE * width / shorter), int(SIZE * height / shorter)), Image.Resampling.BILINEAR)
    left, top = (int(round((side - SIZE) / 2.0)) for side in picture.size)
    picture.crop((left, top, left + SIZE, top + SIZE)).save(OUT / f"{width}x{height}.png", optimize=True)
