"""The `speed` suite: alignment and post-processing, `lm` against the paper's, in one process.

One thread each. Alignment: random cuts of the boundary oracle, both solvers from the same stage 1
on the same objective (Eq. 1 alone), timed over stages 2 and 3, cut by cut and all cuts at once.
Post-processing: one simulated clip at growing lengths, `lm` and the paper's AdamW (its time per
iteration is measured on `TIMED_ITERATIONS` and scaled to the configured number: it is linear in
them). On a CPU, seconds are the process's own, so that a busy machine changes ratios little, and
memory is what a child process adds at most while it solves, after a warm-up on `WARM_ROWS`: how it
grows, not all that it needs. On a CUDA device they are the wall's once the device has done its
work, and what the solver allocates there at most.
"""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import torch

from multithumbs.backends.alignment import algorithm1
from multithumbs.backends.alignment.problem import PosedPeople, build_problem, pose_people
from multithumbs.backends.boundaries import people as people_backend
from multithumbs.backends.boundaries.side import BoundarySide, gather_side
from multithumbs.backends.people import adamw, lm
from multithumbs.backends.people.gaps import bridge
from multithumbs.backends.people.gather import gather
from multithumbs.backends.people.rows import Rows
from multithumbs.bench.gauge import Peak, clock_s, require_device
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.alignment import AdamWAlignmentConfig, LmAlignmentConfig
from multithumbs.config.boundaries import BackgroundConfig, PeopleBoundariesConfig
from multithumbs.config.people import AdamWPeopleConfig, LmPeopleConfig
from multithumbs.evaluation.tables import TableRow, bootstrap_mean
from multithumbs.solvers import alignment as eq1
from multithumbs.synth.boundary_oracle import CutSetup, OracleCut, make_cut
from multithumbs.synth.demo import demo_scene
from multithumbs.synth.people_oracle import ClipNoise, make_clip
from multithumbs.synth.scene import Scene
from multithumbs.types import BoundaryScene, CutStatus

SUITE: Final = "speed"
PAPER: Final = LmAlignmentConfig(pair_weight=0, camera_weight=0, keypoint_outlier_of_height=0)
"""Eq. 1 alone: what `adamw` minimises."""
SIZES: Final = (300, 1000, 3000, 10000, 20000)
"""Person-frames."""
TIMED_ITERATIONS: Final = 20
WARM_ROWS: Final = 100
_GREY: Final = 127

Report = Callable[[str], None]


def run_speed(
    *,
    cuts: int = 5,
    most: int = SIZES[-1],
    device: str = "cpu",
    report: Report = lambda line: None,
) -> list[TableRow]:
    """Rows: seconds, losses, memory and ratios; the scene names the problem's size and the device.

    Raises:
        BackendUnavailable: there is no such device.
    """
    require_device(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = alignment_rows(cuts, device, report)
        for size in (s for s in SIZES if s <= most):
            rows += post_rows(size, device, report)
    finally:
        torch.set_num_threads(threads)
    return rows


def _on(device: str) -> str:
    """The scene's name says where, unless it is the CPU."""
    return "" if device == "cpu" else f", {device}"


def alignment_rows(cuts: int, device: str, report: Report) -> list[TableRow]:
    """Both solvers on the same cuts, one by one and all at once."""
    body, solver_body = load_body(EMBEDDED_BODY), load_body(EMBEDDED_BODY, device=device)
    solvers = {"lm": PAPER, "adamw": AdamWAlignmentConfig(), "lm-default": LmAlignmentConfig()}
    warm = AdamWAlignmentConfig(stage2_iterations=1, stage3_iterations=1)
    first = _posed(make_cut(body, CutSetup(people=2, mask_stride=2), 10**6), body, solver_body)
    if first is not None:
        for config in (PAPER, warm):  # what is loaded once is not timed
            _solve([first], config)
    posed = []
    for seed in range(cuts):
        view = float(np.random.default_rng(seed).uniform(0.5, np.pi))
        cut = make_cut(body, CutSetup(people=3, view_rad=view, mask_stride=2), seed)
        posed += filter(None, [_posed(cut, body, solver_body)])
    rows = []
    for together in (False, True):
        groups = [posed] if together else [[cut] for cut in posed]
        how = " at once" if together else ""
        scene = f"alignment, {len(posed)} cuts of 3 people{how}{_on(device)}"
        found = {}
        for name, config in solvers.items():
            solved = [_solve(group, config) for group in groups if group]
            # Of cuts at once each has its share of the time, which was taken once.
            seconds = np.array([s / len(loss) for s, loss in solved])
            found[name] = seconds, np.array([value for _, loss in solved for value in loss])
            report(f"{scene}, {name}: {seconds.sum():.3f} s")
        literal_s, literal_loss = found["adamw"]
        for name, (seconds, loss) in found.items():
            rows += [
                _row(scene, name, "seconds", "s", seconds),
                _row(scene, name, "loss_over_literal", "ratio", loss / literal_loss),
                _row(scene, name, "times_faster", "ratio", literal_s / seconds),
            ]
    return rows


class _Posed(NamedTuple):
    """A cut at the end of stage 1."""

    people: PosedPeople
    problem: eq1.AlignmentProblem
    state: eq1.AlignmentState


def _posed(cut: OracleCut, body: BodyModel, solver_body: BodyModel) -> _Posed | None:
    """None where the boundary scene FAILED."""
    scene, sides = _boundary(body, cut)
    if scene.status is CutStatus.FAILED:
        return None
    people = pose_people(sides, scene.pair, solver_body, PAPER.objective)
    problem = build_problem(people, sides, scene, PAPER.objective)
    return _Posed(people, problem, algorithm1.start(people, problem, scene))


def _solve(cuts: list[_Posed], config: algorithm1.SolverConfig) -> tuple[float, list[float]]:
    """Seconds, and Eq. 1 of each cut."""
    device = cuts[0].state.pelvis.device
    began = clock_s(device)
    trusted = [algorithm1.without_outliers(cut.problem, cut.people, config) for cut in cuts]
    problem, start = eq1.joined(trusted, [cut.state for cut in cuts])
    state = algorithm1.solve(problem, start, config)
    seconds = clock_s(device) - began
    weights = algorithm1.stage3_weights(config)
    problem, _ = eq1.joined([cut.problem for cut in cuts], [cut.state for cut in cuts])
    loss = eq1.loss(state, problem, weights, state.cam_from_scene).paper(weights)
    return seconds, loss.tolist()


def _boundary(
    body: BodyModel, cut: OracleCut
) -> tuple[BoundaryScene, tuple[BoundarySide, BoundarySide]]:
    """The people-anchored scene of a cut, from grey images."""
    before, after = (
        gather_side(
            frame, side.detections, side.keypoints, side.bodies, side.tracks, side.masks,
            window_frames=0, min_confidence=0.3,
        )
        for frame, side in enumerate(cut.sides)
    )  # fmt: skip
    grey = np.full((*before.hw, 3), _GREY, dtype=np.uint8)
    empty = np.zeros(before.hw, dtype=bool)
    config = PeopleBoundariesConfig(background=BackgroundConfig(enabled=False))
    scene = people_backend.reconstruct(
        (before, after), (grey, grey), (empty, empty), body, config, "cpu"
    )
    return scene, (before, after)


def post_rows(size: int, device: str, report: Report) -> list[TableRow]:
    """`lm` and `adamw` on about ``size`` person-frames."""
    rows, seconds = [], {}
    for name in ("lm", "adamw"):
        count, took, megabytes = _in_child(name, size, device)
        seconds[name] = took
        scene = f"post-processing, {size} person-frames{_on(device)}"
        rows += [
            _row(scene, name, "person_frames", "count", np.array([count])),
            _row(scene, name, "seconds", "s", np.array([took])),
            _row(scene, name, "ms_per_row", "ms", np.array([1e3 * took / count])),
            _row(scene, name, "memory", "MB", np.array([megabytes])),
        ]
        report(f"{scene}, {name}: {took:.1f} s, {megabytes:.0f} MB")
    ratio = np.array([seconds["adamw"] / seconds["lm"]])
    rows.append(_row(scene, "lm", "times_faster", "ratio", ratio))
    return rows


def _in_child(name: str, size: int, device: str) -> tuple[int, float, float]:
    """Rows, seconds and added megabytes, in a process of its own so that peaks do not mix."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_post, (name, size, device))


def _post(name: str, size: int, device: str) -> tuple[int, float, float]:
    torch.set_num_threads(1)
    body = load_body(EMBEDDED_BODY)
    solver_body = load_body(EMBEDDED_BODY, dtype=torch.float32, device=device)  # as the stage
    scene = lengthened(demo_scene(), size / 70)
    clip = make_clip(body, scene, ClipNoise(), 0)
    config = LmPeopleConfig()
    rows = gather(
        body, clip.detections, clip.keypoints, clip.bodies, clip.tracks, clip.alignment,
        clip.cameras, clip.identities, clip.timestamps_s, config.gather,
    )  # fmt: skip
    rows = bridge(rows, clip.cameras, clip.timestamps_s, config.gather)
    rows = rows.take(np.arange(min(len(rows), size)))

    def took(part: Rows, iterations: int = 0) -> float:
        began = clock_s(solver_body.device)
        if name == "lm":
            lm.refine(solver_body, part, clip.cameras, config, lambda done, total: None)
        else:
            timed = AdamWPeopleConfig(iterations=iterations)
            adamw.refine(solver_body, part, clip.cameras, timed, lambda done, total: None)
        return clock_s(solver_body.device) - began

    took(rows.take(np.arange(min(len(rows), WARM_ROWS))), 1)  # what is loaded once is not timed
    with Peak(solver_body.device) as peak:
        if name == "lm":
            seconds = took(rows)
        else:
            first = took(rows, 1)
            each = (took(rows, 1 + TIMED_ITERATIONS) - first) / TIMED_ITERATIONS
            seconds = first + each * (AdamWPeopleConfig().iterations - 1)
    return len(rows), seconds, peak.megabytes


def lengthened(scene: Scene, seconds: float) -> Scene:
    """The demo's people, its shots stretched to ``seconds``."""
    factor = seconds * float(scene.fps) / scene.num_frames
    edges = [round(factor * shot.start) for shot in scene.shots]
    edges.append(round(factor * scene.num_frames))
    shots = tuple(
        replace(shot, start=edges[i], end=edges[i + 1]) for i, shot in enumerate(scene.shots)
    )
    return replace(scene, shots=shots)


def _row(scene: str, method: str, metric: str, unit: str, values: np.ndarray) -> TableRow:
    mean, lo, hi = bootstrap_mean(np.asarray(values, np.float64))
    return TableRow(
        suite=SUITE, scene=scene, method=method, metric=metric, unit=unit, mean=mean, lo=lo,
        hi=hi, n=len(values),
    )  # fmt: skip
