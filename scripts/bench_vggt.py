"""VGGT's time and peak memory at full size, with random weights (or a checkpoint's).

    python scripts/bench_vggt.py --device cuda --frames 2 --repeat 5

Memory is the process's largest resident set on a CPU, the largest allocation on CUDA; weights
included. Published (H100, trunk alone, bfloat16): 1.9 GB for 1 frame, 3.6 GB for 10.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

from multithumbs.backends.boundaries import vggt
from multithumbs.backends.boundaries.vggt_input import fit_frame
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.models.vggt import Vggt


def random_network(config: VggtBoundariesConfig, device: str) -> Vggt:
    """As `vggt.load_network`, but with small random numbers instead of a file's."""
    with torch.device("meta"):
        network = Vggt(config.architecture, point_head=config.points == "point_head")
    network = network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.02, generator=generator)
    return vggt.ready(network, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--hw", type=int, nargs=2, default=(1080, 1920))
    parser.add_argument("--point-head", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    config = VggtBoundariesConfig(points="point_head" if arguments.point_head else "depth")
    begun = time.perf_counter()
    if arguments.checkpoint:
        network = vggt.load_network(config, arguments.checkpoint, arguments.device)
    else:
        network = random_network(config, arguments.device)
    print(f"weights ready after {time.perf_counter() - begun:.1f} s", flush=True)
    rng = np.random.default_rng(0)
    height, width = arguments.hw
    images = [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(arguments.frames)
    ]
    fit = fit_frame((height, width), config.fit, 518, 14)
    cuda = arguments.device.startswith("cuda")
    for _ in range(arguments.repeat):
        begun, spent = time.perf_counter(), time.process_time()
        out = vggt.predict(network, images, fit, arguments.device)
        if cuda:
            torch.cuda.synchronize()
        seconds, spent = time.perf_counter() - begun, time.process_time() - spent
        print(
            f"{arguments.frames} frames as {fit.hw[0]}x{fit.hw[1]}, {out.depth.dtype}: "
            f"{seconds:.3f} s ({spent:.1f} s of processor)",
            flush=True,
        )
    if cuda:
        print(f"peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on {arguments.device}")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"peak resident set {peak:.2f} GiB, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
