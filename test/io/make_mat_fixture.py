"""Writes scipy.mat: synsets as in the meta.mat of ILSVRC's development kits, by SciPy. Run it in this folder."""

import numpy as np
from scipy.io import savemat

FIELDS = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
SYNSETS = [
    (1, "n02119789", "kit fox, Vulpes macrotis", "small grey fox", 0, [], 0, 1300),
    (2, "n02100735", "English setter", "an English breed", 0, [], 0, 1300),
    (1001, "n02118333", "fox, çø", "", 2, [1, 2], 1, 0),
]

synsets = np.zeros((len(SYNSETS), 1), dtype=[(name, object) for name in FIELDS])
for i, synset in enumerate(SYNSETS):
    for name, value in zip(FIELDS, synset):
        synsets[i, 0][name] = value if isinstance(value, str) else np.array(value, dtype=float)
savemat("scipy.mat", {"before": np.eye(3), "synsets": synsets}, do_compression=True)
