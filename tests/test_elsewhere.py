"""The device of `elsewhere` refuses what CUDA refuses."""

import numpy as np
import pytest
import torch

from .elsewhere import elsewhere


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.stack([x, torch.ones(3)]),
        lambda x: torch.ones(3)[x.long()],
        lambda x: x.index_put((torch.tensor([0]),), torch.ones(1)),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
    ],
    ids=["add", "stack", "index", "index_put", "numpy", "asarray"],
)
def test_two_devices_do_not_meet(wrong):
    with elsewhere() as device:
        x = torch.ones(3, device=device)
        with pytest.raises((RuntimeError, TypeError), match="elsewhere"):
            wrong(x)


def test_what_cuda_allows_computes():
    with elsewhere() as device:
        x = torch.tensor([1.0, 2.0, 3.0], device=device, requires_grad=True)
        assert x.device.type == "elsewhere"
        (x[torch.tensor([0, 2])] * torch.tensor(2.0)).sum().backward()
        assert x.grad.tolist() == [2.0, 0.0, 2.0]
        y = torch.zeros_like(x)
        y[1:] += x.detach()[1:]
        np.testing.assert_array_equal(y.numpy(force=True), [0.0, 2.0, 3.0])
        assert float(y.max()) == 3.0
        assert torch.arange(2, device=x.device).cpu().device.type == "cpu"
