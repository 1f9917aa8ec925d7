"""VPoser for the people stage."""

from pathlib import Path

from torch import Tensor

from multithumbs.config.people import VPoserArchitecture
from multithumbs.models.vposer import VPoser, official_key
from multithumbs.models.weights import load_strict, read_tensors


def load_vposer(path: Path, architecture: VPoserArchitecture, like: Tensor) -> VPoser:
    """The released network, ready for evaluation, on the device and in the precision of ``like``.

    Raises:
        CheckpointError: the file does not hold VPoser v2.
    """
    network = VPoser(architecture)
    load_strict(network, read_tensors(path), name="vposer", keep=official_key, dtype=like.dtype)
    return network.to(like.device).eval().requires_grad_(requires_grad=False)
