"""Makes python.safetensors beside this file. Needs the packages numpy and safetensors: python3 make_fixture.py"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

tensors = {
    "double": np.array([[1.5, -2.0, 1e300], [0.0, -0.0, 5e-324]], np.float64),
    "long": np.array([2**53 + 1, -(2**63)], np.int64),
    "float": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "int": np.array([[-(2**31)], [2**31 - 1]], np.int32),
    "half": np.array([1.0, -2.0, 65504.0], np.float16),
    "short": np.array([-32768, 32767], np.int16),
    "bytes": np.arange(256, dtype=np.uint8),
    "flags": np.array([True, False, True]),
    "scalar": np.array(3.25, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    'Grüße "\\ \n 猫': np.array([7], np.uint8),
    "__proto__": np.array([1, 2], np.uint8),
}
metadata = {"format": "np", "config": '{"classes":["a","ß"]}', "__proto__": "x"}
save_file(tensors, Path(__file__).with_name("python.safetensors"), metadata)
