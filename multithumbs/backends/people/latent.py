"""VPoser for the people stage."""

from pathlib import Path

import torch

from multithumbs.config.people import VPoserArchitecture
from multithumbs.models.vposer import VPoser, official_key
from multithumbs.models.weights import load_strict, read_tensors


def load_vposer(path: Path, architecture: VPoserArchitecture, dtype: torch.dtype) -> VPoser:
    """The released network, ready for evaluation, on the CPU where the motion is solved.

    Raises:
        CheckpointError: the file does not hold VPoser v2.
    """
    network = VPoser(architecture)
    load_strict(network, read_tensors(path), name="vposer", keep=official_key, dtype=dtype)
    return network.eval().requires_grad_(requires_grad=False)
