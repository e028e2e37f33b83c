"""Makes test/golden/numpyStatistics.json: what numpy says of nine small pictures.

    python -B test/golden/make_numpy_statistics.py

from the package's folder, with a Python that has numpy. test/data/statistics.test.ts draws the same pictures.
"""

import json

import numpy as np

PICTURES, HEIGHT, WIDTH = 9, 6, 7

k, y, x = np.mgrid[0:PICTURES, 0:HEIGHT, 0:WIDTH]
light = 40 + (37 * k + 11 * x + 5 * y + x * y * y) % 150
pictures = np.stack([light + (3 * x + k) % 40, light + (7 * y * x) % 20, light + (13 * y + 5 * k) % 60], -1)
pixels = pictures.reshape(-1, 3) / 255
covariance = np.cov(pixels, rowvar=False, bias=True)
values, vectors = np.linalg.eigh(covariance)
statistics = {
    "meanImage": pictures.mean(0).ravel().tolist(),
    "meanColour": pictures.mean((0, 1, 2)).tolist(),
    "covariance": covariance.tolist(),
    # The largest first; a row for each.
    "eigenvalues": values[::-1].tolist(),
    "eigenvectors": vectors.T[::-1].tolist(),
}
with open("test/golden/numpyStatistics.json", "w") as file:
    json.dump(statistics, file)
    file.write("\n")
