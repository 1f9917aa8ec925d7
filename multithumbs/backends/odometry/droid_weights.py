"""DROID's released weights into the networks."""

from pathlib import Path

import torch

from multithumbs.backends.odometry.droid_network import NetworkOperator
from multithumbs.config.odometry import DroidOdometryConfig
from multithumbs.models.droid import Architecture, Droid, strip_official
from multithumbs.models.weights import load_strict, read_tensors


def load_operator(path: Path, config: DroidOdometryConfig, device: str) -> NetworkOperator:
    """The networks on ``device``, ready to run; on CUDA in float16, in which they were trained.

    Raises:
        CheckpointError: the file is damaged, or not DROID's of the configured size.
    """
    sizes = config.architecture
    with torch.device("meta"):
        network = Droid(Architecture(features=sizes.features, hidden=sizes.hidden))
    load_strict(network, strip_official(read_tensors(path)), name="droid", dtype=torch.float32)
    precision = torch.float16 if device.startswith("cuda") else torch.float32
    return NetworkOperator(network.to(device, precision).eval().requires_grad_(False))
