"""Makes python.pth beside this file, a checkpoint as dansuh17/alexnet-pytorch saves it, of a small network.

Needs PyTorch: python3 make_pth_fixture.py
"""

from pathlib import Path

import torch

torch.manual_seed(2**63 + 12345)
model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.Linear(3, 2)))
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8 - 1)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
model(torch.ones(1, 1, 4, 4)).sum().backward()
optimizer.step()
base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
torch.save(
    {
        "epoch": 7,
        "total_steps": 123456,
        "optimizer": optimizer.state_dict(),
        "model": model.state_dict(),
        "seed": torch.initial_seed(),
        "others": {
            "parameter": torch.nn.Parameter(torch.tensor([0.5, -0.5])),
            "part": base[1:],
            "half": torch.tensor([1.0, -2.0], dtype=torch.float16),
            "bfloat": torch.tensor([1.0], dtype=torch.bfloat16),
            "double": torch.tensor(1e300, dtype=torch.float64),
            "long": torch.tensor([2**53 + 1, -(2**63)]),
            "flags": torch.tensor([True, False]),
            "empty": torch.zeros(0, 3),
            "plain": [None, True, -1, 2**40, -(2**62), 1.5, "Grüße 猫", (), (1, (2,)), [], {3: "x"}],
            "columns": base.t(),
        },
    },
    Path(__file__).with_name("python.pth"),
)
