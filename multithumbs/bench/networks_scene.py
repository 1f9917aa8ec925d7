"""The scene's networks and solvers: VGGT, DROID-SLAM, VPoser, alignment, post-processing."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multithumbs.bench import speed
from multithumbs.bench.networks_measure import (
    COUNT,
    MEMORY,
    RATE,
    SECONDS,
    Findings,
    Meter,
    Row,
    sweep,
)
from multithumbs.bench.networks_setup import Bench
from multithumbs.config.boundaries_vggt import VggtArchitecture, VggtBoundariesConfig
from multithumbs.config.odometry import DroidArchitectureConfig, DroidOdometryConfig
from multithumbs.config.people import VPoserArchitecture
from multithumbs.models.weights import expected_tensors

TINY_VGGT = VggtArchitecture(
    image_size=56, width=16, encoder_depth=1, encoder_heads=2, depth=2, heads=2, camera_depth=1,
    camera_heads=2, taps=(0, 0, 1, 1), dpt_features=8, dpt_channels=(8, 8, 8, 8),
)  # fmt: skip
TINY_DROID = DroidOdometryConfig(
    architecture=DroidArchitectureConfig(features=8, hidden=8), area_px=4096, warmup=5,
    backend_steps=(1,),
)  # fmt: skip
CUTS = 2


def measure_vggt(bench: Bench) -> Findings:
    """An item is a frame; all frames of a call are one scene. The trunk also by itself."""
    from multithumbs.backends.boundaries import vggt
    from multithumbs.backends.boundaries.vggt_input import fit_frame
    from multithumbs.models.vggt import Vggt

    config = VggtBoundariesConfig()
    if bench.scale.tiny:
        config = VggtBoundariesConfig(architecture=TINY_VGGT)
    sizes, device = config.architecture, bench.meter.device
    with torch.device("meta"):
        expected = expected_tensors(Vggt(sizes, point_head=config.points == "point_head"))
    fit = fit_frame(bench.scale.hw, config.fit, sizes.image_size, sizes.patch_size)
    with bench.weights(expected) as path:
        network = vggt.load_network(config, path, device)
    images = [frame.rgb for frame in bench.pictures(8)]

    def make(count: int) -> Callable[[], object]:
        given = [images[n % len(images)] for n in range(count)]
        return lambda: vggt.predict(network, given, fit, device)

    found, _ = sweep(bench.meter, "boundaries", "vggt", make, largest=bench.scale.views)
    pair = make(2)
    with torch.inference_mode():
        pair()
        seconds = bench.meter.seconds(pair)
        trunk = _Trunk(bench.meter, network)
        pair()
    trunk.remove()
    rows = {"vggt, 2 frames": (SECONDS, seconds), "vggt, 2 frames, trunk alone": trunk.figure}
    found.rows += [
        Row(stage="boundaries", what=what, unit=unit, value=value)
        for what, (unit, value) in rows.items()
    ]
    found.rows.append(
        Row(
            stage="boundaries", what="vggt, 2 frames, trunk alone", unit=MEMORY, value=trunk.peak,
            batch=2,
        )
    )  # fmt: skip
    return found


class _Trunk:
    """Time and peak memory of the aggregator inside a call of the whole network."""

    def __init__(self, meter: Meter, network: Any) -> None:
        self.figure = (SECONDS, float("nan"))
        self.peak = float("nan")
        self._meter, self._began = meter, 0.0
        self._hooks = (
            network.aggregator.register_forward_pre_hook(self._before),
            network.aggregator.register_forward_hook(self._after),
        )

    def _before(self, module: Any, given: Any) -> None:
        self._meter.reset()
        self._meter.wait()
        self._began = time.perf_counter()

    def _after(self, module: Any, given: Any, out: Any) -> None:
        self._meter.wait()
        self.figure = (SECONDS, time.perf_counter() - self._began)
        self.peak = self._meter.peak_gib()

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def measure_droid(bench: Bench) -> Findings:
    """A camera that travels before a leaning wall; see `networks_droid` for what is real."""
    from multithumbs.backends.odometry import droid
    from multithumbs.backends.odometry.droid_weights import load_operator
    from multithumbs.bench.networks_droid import Travelling, with_true_flow
    from multithumbs.geometry.inverse_depth import grid_intrinsics
    from multithumbs.models.droid import Architecture, Droid
    from multithumbs.solvers.droid_slam import track

    config = TINY_DROID if bench.scale.tiny else DroidOdometryConfig()
    sizes, device = config.architecture, bench.meter.device
    with torch.device("meta"):
        network = Droid(Architecture(features=sizes.features, hidden=sizes.hidden))
        expected = expected_tensors(network)
    # The released heads have a third row, which is cut off.
    cut = tuple(f"update.{head}.2." for head in ("weight", "delta"))
    given = {
        name: torch.empty(3, *t.shape[1:], device="meta") if name.startswith(cut) else t
        for name, t in expected.items()
    }
    size = droid.Resized.of(bench.scale.hw, bench.intrinsics.K, config.area_px)
    intrinsics = grid_intrinsics(torch.from_numpy(size.K)).to(device)
    scene = Travelling(size.grid_hw, intrinsics)
    pictures = bench.pictures(8)
    everything = np.ones(size.scaled_hw, dtype=bool)

    def stream(count: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        for t in range(count):
            image, cells = size.picture(pictures[t % len(pictures)].rgb, everything)
            yield t, scene.stamped(image, t).to(device), cells.to(device)

    def run(count: int) -> Any:
        return track(
            lambda: stream(count), operator, size.grid_hw, intrinsics,
            droid.frontend_settings(config), droid.backend_settings(config),
        )  # fmt: skip

    with bench.weights(given) as path:
        operator = with_true_flow(load_operator(path, config, device), scene)
    frames = bench.scale.followed
    if not bench.scale.tiny:
        run(min(frames, 60))  # compiles the kernels
    bench.meter.reset()
    bench.meter.wait()
    began = time.perf_counter()
    result = run(frames)
    bench.meter.wait()
    seconds = time.perf_counter() - began
    if not result.finite:
        raise RuntimeError("DROID-SLAM diverged although the flow is the true one")
    what = f"droid, {size.hw[0]}x{size.hw[1]}"
    values = {RATE: frames / seconds, MEMORY: bench.meter.peak_gib(), COUNT: len(result.key_time)}
    rows = [
        Row(stage="odometry", what=what, unit=unit, value=float(value))
        for unit, value in values.items()
    ]
    note = (
        f"{what}: {frames} frames of a camera that travels, {len(result.key_time)} key frames; "
        "front end, back end and filler, resizing included, decoding left out"
    )
    return Findings(rows=rows, notes=[note])


def measure_vposer(bench: Bench) -> Findings:
    """Latent code and derivative of poses, as each step of post-processing asks for them."""
    from multithumbs.backends.people.latent import load_vposer
    from multithumbs.models.vposer import VPoser

    sizes = VPoserArchitecture(neurons=16, latent=8) if bench.scale.tiny else VPoserArchitecture()
    with torch.device("meta"):
        expected = expected_tensors(VPoser(sizes))
    with bench.weights({f"vp_model.{name}": t for name, t in expected.items()}) as path:
        network = load_vposer(path, sizes, torch.zeros(0, device=bench.meter.device))
    poses = torch.randn(bench.scale.poses, 63, generator=torch.Generator().manual_seed(0))
    poses = poses.to(bench.meter.device)

    def make(batch: int) -> Callable[[], object]:
        return lambda: network.linearise(poses[:batch])

    found, _ = sweep(bench.meter, "people", "vposer", make, largest=bench.scale.poses)
    return found


def measure_solvers(bench: Bench) -> Findings:
    """Alignment and post-processing on the device; `multithumbs bench speed` times more sizes."""
    device, tiny = bench.meter.device, bench.scale.tiny
    found = speed.alignment_rows(1 if tiny else CUTS, device, lambda line: None)
    found += speed.post_rows(speed.SIZES[0 if tiny else 2], device, lambda line: None)
    rows = [
        Row(stage=stage, what=f"{row.method}, {what}", unit=SECONDS, value=row.mean)
        for row in found
        if row.metric == "seconds" and row.mean is not None
        for stage, what in [row.scene.split(", ")[:2]]
    ]
    if not any(row.stage == "alignment" for row in rows):
        raise RuntimeError("no cut could be aligned")
    return Findings(rows=rows)
