"""`odometry=droid` from frames to artifact, with tiny networks whose weights are random."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from multithumbs.backends.odometry.droid import Resized, estimate
from multithumbs.backends.odometry.droid_network import NetworkOperator
from multithumbs.config.compose import load_config
from multithumbs.config.odometry import DroidArchitectureConfig, DroidOdometryConfig
from multithumbs.errors import CheckpointError, ConfigError
from multithumbs.models.droid import Architecture, CorrelationVolume, Droid
from multithumbs.solvers.droid_frames import Flow, KeyFrames
from multithumbs.solvers.odometry_tracks import PointTracks
from multithumbs.stages import odometry
from multithumbs.types import Detections, Intrinsics, Masks, Odometry
from multithumbs.types.work import Runtime, ShotItem, Work

from .room import RoomVideo

HW = (90, 160)
K = np.array([[170.0, 0, 80], [0, 170, 45], [0, 0, 1]])
TINY = DroidOdometryConfig(
    architecture=DroidArchitectureConfig(features=8, hidden=8),
    area_px=64 * 112,
    warmup=5,
    filter_threshold=0.05,
    keyframe_threshold=0.01,
    backend_steps=(1,),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the released one is: names of a parallel wrapper, heads with more rows."""
    torch.manual_seed(0)
    tensors = Droid(Architecture(features=8, hidden=8)).state_dict()
    official = {}
    for name, value in tensors.items():
        if name.startswith(("update.weight.2.", "update.delta.2.")):
            value = torch.cat([value, value + 1])
        official[f"module.{name}"] = value
    path = tmp_path_factory.mktemp("droid") / "droid.pth"
    torch.save(official, path)
    return path


def dolly(frames: int) -> np.ndarray:
    path = np.tile(np.eye(4), (frames, 1, 1))
    path[:, 2, 3] = -3
    path[:, 0, 3] = 0.12 * np.arange(frames)
    turn = np.stack([np.zeros(frames), -0.004 * np.arange(frames), np.zeros(frames)], axis=1)
    path[:, :3, :3] = Rotation.from_rotvec(turn).as_matrix()
    return path


def measure(
    path: np.ndarray,
    weights: Path,
    config: DroidOdometryConfig = TINY,
    clean: tuple[int, int] | None = None,
    decorate: object = None,
    people: tuple[Detections, Masks] | None = None,
) -> Odometry:
    total = len(path)
    first, last = clean or (0, total)
    work = Work(
        video=RoomVideo(K, path, HW, decorate=decorate),
        config=config,
        runtime=Runtime(threads=1),
        shot=ShotItem(index=0, start=0, end=total, clean_start=first, clean_end=last),
        cut=None,
        body_npz=Path(),
        checkpoints={"droid": weights},
        progress=lambda done, total: None,
    )
    none = np.zeros((0, 4))
    nobody = Detections(frame=np.zeros(0, np.int64), box_xyxy=none, score=np.zeros(0), roi=none)
    detections, masks = people or (nobody, Masks.from_dense([], HW))
    given = Intrinsics(K=K, source="given", log_focal_std=0.0)
    return odometry.run(work, detections=detections, masks=masks, intrinsics=given)


def test_random_weights_run_through_and_are_not_believed(weights: Path) -> None:
    out = measure(dolly(8), weights)
    assert len(out.frame) == 8 and np.isfinite(out.shot_from_cam).all()
    assert out.motion == "rotation" and out.tracked.all()
    assert np.allclose(out.shot_from_cam[0], np.eye(4), atol=1e-12)
    assert np.array_equal(out.shot_from_cam[:, :3, 3], np.zeros((8, 3)))


def test_the_same_clip_gives_the_same_result(weights: Path) -> None:
    first, second = (measure(dolly(6), weights) for _ in range(2))
    assert np.array_equal(first.shot_from_cam, second.shot_from_cam)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7])
def test_shots_of_a_few_frames(frames: int, weights: Path) -> None:
    out = measure(dolly(frames), weights)
    assert len(out.frame) == frames and np.isfinite(out.shot_from_cam).all()
    assert out.motion in ("static", "rotation", "free")
    assert frames == 1 or out.motion != "static"


def test_a_camera_that_stands_never_asks_the_networks() -> None:
    out = measure(np.tile(dolly(1), (20, 1, 1)), Path("there is no such file"))
    assert out.motion == "static" and out.tracked.all() and out.warning == ""


def test_a_missing_or_foreign_checkpoint_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        measure(dolly(8), tmp_path / "droid.pth")
    bigger = TINY.model_copy(update={"architecture": DroidArchitectureConfig()})
    with pytest.raises(CheckpointError, match="droid"):
        measure(dolly(8), weights, bigger)


def test_blended_frames_are_held(weights: Path) -> None:
    out = measure(dolly(12), weights, clean=(2, 10))
    assert not out.tracked[[0, 1, 10, 11]].any()
    assert np.allclose(out.shot_from_cam[:2], np.eye(4))


@pytest.mark.parametrize("texture", [True, False])
def test_a_picture_full_of_people_is_held_and_said(weights: Path, texture: bool) -> None:
    """Nothing to see, with and without something to track before it comes."""
    frames = 8
    box = np.tile(np.array([[0.0, 0, HW[1], HW[0]]]), (frames, 1))
    detections = Detections(
        frame=np.arange(frames), box_xyxy=box, score=np.ones(frames), roi=np.zeros((frames, 4))
    )
    masks = Masks.from_runs([np.zeros(0, np.int64)] * frames, HW)
    flat = None if texture else (lambda _, rgb: np.full_like(rgb, 90))
    out = measure(dolly(frames), weights, decorate=flat, people=(detections, masks))
    assert out.motion == "static" and not out.tracked.any() and "background" in out.warning


def test_a_plain_wall_without_points_does_not_crash(weights: Path) -> None:
    out = measure(dolly(8), weights, decorate=lambda _, rgb: np.full_like(rgb, 90))
    assert np.isfinite(out.shot_from_cam).all()


def test_the_standard_size_keeps_the_rays() -> None:
    hw, K_full = (1080, 1920), np.array([[1500.0, 0, 960], [0, 1500, 540], [0, 0, 1]])
    size = Resized.of(hw, K_full, 384 * 512)
    assert size.hw[0] % 8 == 0 and size.hw[1] % 8 == 0
    assert 0.9 < size.hw[0] * size.hw[1] / (384 * 512) <= 1
    corner = np.linalg.inv(K_full) @ [1920, 1080, 1]
    height, width = size.scaled_hw
    assert np.allclose(size.K @ corner, [width, height, 1])
    assert min(Resized.of((100, 1000), K_full, 64 * 64).grid_hw) == 8


def test_the_command_line_names_the_rules_by_their_year() -> None:
    config = load_config(["odometry=droid", "odometry.rules=2025"]).odometry
    assert isinstance(config, DroidOdometryConfig) and config.rules == "2025"
    assert DroidOdometryConfig().rules == "2022" and config.checkpoints == ("droid",)
    with pytest.raises(ConfigError, match="rules"):
        load_config(["odometry=droid", "odometry.rules=2023"])


def test_people_are_painted_black_and_their_cells_closed() -> None:
    size = Resized.of((128, 128), K, 64 * 64)
    background = np.ones((64, 64), bool)
    background[:, 20:30] = False
    image, cells = size.picture(np.full((128, 128, 3), 200, np.uint8), background)
    assert (image[:, 20:30] == 0).all() and (image[:, 30:] == 200).all()
    assert cells[0].tolist() == [True, True, False, False, True, True, True, True]


class TrueRoom:
    """The true flow of `RoomVideo`'s room, in place of the networks."""

    def __init__(self, path: np.ndarray, size: Resized) -> None:
        from multithumbs.geometry.inverse_depth import grid_intrinsics

        from .room import HALF_SIZE

        fx, fy, cx, cy = grid_intrinsics(torch.from_numpy(size.K)).numpy()
        y, x = np.mgrid[: size.grid_hw[0], : size.grid_hw[1]]
        self.grid = torch.from_numpy(np.stack([x, y], -1).astype(np.float64))
        rays = np.stack([(x - cx) / fx, (y - cy) / fy, np.ones(x.shape)], -1)
        turned = np.einsum("tij,hwj->thwi", path[:, :3, :3], rays)
        centre = path[:, None, None, :3, 3]
        with np.errstate(divide="ignore"):
            t = np.where(turned > 0, HALF_SIZE - centre, -HALF_SIZE - centre) / turned
        points = centre + turned * np.abs(t).min(-1)[..., None]
        self.points = torch.from_numpy(points)
        self.cam_from_world = torch.from_numpy(np.linalg.inv(path))
        self.lens = torch.tensor([fx, fy, cx, cy])
        self.time = -1

    def target(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        pose = self.cam_from_world[j]
        moved = torch.einsum("eij,ehwj->ehwi", pose[:, :3, :3], self.points[i])
        moved = moved + pose[:, None, None, :3, 3]
        return moved[..., :2] / moved[..., 2:].clamp_min(0.3) * self.lens[:2] + self.lens[2:]

    def features(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (image[0, 0, 0].long(),)

    def context(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.features(image)

    def motion(self, last: tuple, context: tuple, new: tuple) -> float:
        target = self.target(last[0].view(1), new[0].view(1))
        return float((target - self.grid).norm(dim=-1).mean())

    def memory(self, *, low_memory: bool) -> "TrueRoom":
        return self

    def extend(self, frames: KeyFrames, ii: np.ndarray, jj: np.ndarray) -> None:
        pass

    def keep(self, edges: np.ndarray) -> None:
        pass

    def step(
        self,
        frames: KeyFrames,
        rows: np.ndarray,
        ii: np.ndarray,
        jj: np.ndarray,
        coords: torch.Tensor,
        target: torch.Tensor,
    ) -> Flow:
        i, j = (torch.stack([frames.features[s][0] for s in slots]) for slots in (ii, jj))
        delta = (self.target(i, j) - coords).float()
        sources = np.unique(ii)
        damping = torch.full((len(sources), *frames.hw), 1e-4)
        return Flow(delta, torch.full_like(delta, 0.5), frames.index(sources), damping)


def follow_truth(path: np.ndarray, rng: np.random.Generator) -> PointTracks:
    """Points of the background as seen by every frame, with a third of a pixel of noise."""
    world = np.c_[rng.uniform(-2, 2, 80), rng.uniform(-1, 1, 80), rng.uniform(0.5, 3, 80)]
    cam_from_world = np.linalg.inv(path)
    cam = np.einsum("tij,pj->tpi", cam_from_world[:, :3, :3], world)
    cam = cam + cam_from_world[:, None, :3, 3]
    uv = cam[..., :2] / cam[..., 2:] * 170 + [80, 45] + rng.normal(0, 0.1, (len(path), 80, 2))
    frame = np.repeat(np.arange(len(path)), 80)
    return PointTracks(
        num_frames=len(path), frame=frame, point=np.tile(np.arange(80), len(path)),
        uv=uv.reshape(-1, 2),
    )  # fmt: skip


def droid_with_truth(path: np.ndarray) -> Odometry:
    size = Resized.of(HW, K, 64 * 112)
    truth = TrueRoom(path, size)

    def frames():
        for t in range(len(path)):
            yield t, np.full((*HW, 3), t, np.uint8), np.ones(size.scaled_hw, bool)

    config = TINY.model_copy(update={"filter_threshold": 0.15, "keyframe_threshold": 0.3})
    tracks = follow_truth(path, np.random.default_rng(0))
    return estimate(frames, tracks, size, K, 1.0, 0, config, lambda: truth, "cpu")


def test_true_flow_through_the_adapter_gives_a_free_camera_in_its_first_frames_units() -> None:
    path = dolly(14)
    out = droid_with_truth(path)
    assert out.motion == "free" and out.tracked.all()
    true = np.linalg.inv(path[0]) @ path
    unit = np.linalg.norm(true[-1, :3, 3]) / np.linalg.norm(out.shot_from_cam[-1, :3, 3])
    assert np.allclose(unit * out.shot_from_cam[:, :3, 3], true[:, :3, 3], atol=2e-3)
    assert 6 < unit < 10, "the walls ahead are 9 m away, those beside nearer"


def test_a_camera_that_only_turns_is_a_rotation_whatever_droid_makes_of_it() -> None:
    path = np.tile(np.eye(4), (14, 1, 1))
    turn = np.stack([np.zeros(14), 0.02 * np.arange(14), np.zeros(14)], axis=1)
    path[:, :3, :3] = Rotation.from_rotvec(turn).as_matrix()
    out = droid_with_truth(path)
    assert out.motion == "rotation"
    assert np.array_equal(out.shot_from_cam[:, :3, 3], np.zeros((14, 3)))


def test_hidden_states_and_correlations_follow_their_edges() -> None:
    """Kept, extended and stepped in parts, a memory says what a fresh one says at once."""
    torch.manual_seed(1)
    operator = NetworkOperator(Droid(Architecture(features=8, hidden=8)).eval())
    frames = KeyFrames((8, 14), torch.tensor([20.0, 20, 6.5, 3.5]).double())
    rng = np.random.default_rng(0)
    for t in range(4):
        image = torch.from_numpy(rng.integers(0, 255, (64, 112, 3)).astype(np.uint8))
        seen = torch.ones(8, 14, dtype=torch.bool)
        frames.append(t, operator.features(image), operator.context(image), seen)
    ii, jj = np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2])
    coords = frames.reproject(ii, jj)

    def flow_of(memory, rows: np.ndarray) -> Flow:
        part = frames.index(rows)
        return memory.step(frames, rows, ii[rows], jj[rows], coords[part], coords[part])

    whole = operator.memory(low_memory=True)
    whole.extend(frames, ii, jj)
    expected = flow_of(whole, np.arange(4))
    grown = operator.memory(low_memory=False)  # keeps the volumes
    grown.extend(frames, np.array([3, 0, 1]), np.array([0, 1, 0]))
    grown.keep(np.array([False, True, True]))
    grown.extend(frames, ii[2:], jj[2:])
    parts = [flow_of(grown, np.array(rows)) for rows in ([0, 1], [2, 3])]
    assert torch.allclose(torch.cat([p.delta for p in parts]), expected.delta, atol=1e-5)
    assert torch.allclose(torch.cat([p.damping for p in parts]), expected.damping, atol=1e-6)
    again = flow_of(whole, np.arange(4))
    assert torch.allclose(flow_of(grown, np.arange(4)).delta, again.delta, atol=1e-5)
    assert not torch.allclose(again.delta, expected.delta), "the hidden state has moved on"


def test_correlations_are_computed_when_asked_once_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    operator = NetworkOperator(Droid(Architecture(features=8, hidden=8)).eval())
    frames = KeyFrames((8, 14), torch.tensor([20.0, 20, 6.5, 3.5]).double())
    rng = np.random.default_rng(0)
    for t in range(2):
        image = torch.from_numpy(rng.integers(0, 255, (64, 112, 3)).astype(np.uint8))
        seen = torch.ones(8, 14, dtype=torch.bool)
        frames.append(t, operator.features(image), operator.context(image), seen)
    ii, jj, rows = np.array([0, 1]), np.array([1, 0]), np.arange(2)
    coords = frames.reproject(ii, jj)
    plenty, scarce = (operator.memory(low_memory=False) for _ in range(2))
    plenty.extend(frames, ii, jj)
    assert plenty.volume is not None

    def full(*arguments: object, **named: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(CorrelationVolume, "between", full)
    scarce.extend(frames, ii, jj)
    assert scarce.volume is None
    first, second = (m.step(frames, rows, ii, jj, coords, coords).delta for m in (plenty, scarce))
    assert torch.allclose(first, second, atol=1e-5)


def test_half_weights_run_every_pass_and_give_float32_to_the_geometry() -> None:
    """As on CUDA: what a tensor of another type would meet shows itself on a CPU too."""
    torch.manual_seed(1)
    network = Droid(Architecture(features=8, hidden=8)).eval().requires_grad_(False)
    image = [torch.randint(0, 255, (64, 112, 3), dtype=torch.uint8) for _ in range(2)]
    ii, jj, rows = np.array([0, 1]), np.array([1, 0]), np.arange(2)
    flows, moved = [], []
    for dtype in (torch.float32, torch.float16):
        operator = NetworkOperator(network.to(dtype))
        frames = KeyFrames((8, 14), torch.tensor([20.0, 20, 6.5, 3.5]).double())
        for t in range(2):
            seen = torch.ones(8, 14, dtype=torch.bool)
            frames.append(t, operator.features(image[t]), operator.context(image[t]), seen)
        moved.append(operator.motion(frames.features[0], frames.context[0], frames.features[1]))
        for low_memory in (True, False):
            memory = operator.memory(low_memory=low_memory)
            memory.extend(frames, ii, jj)
            coords = frames.reproject(ii, jj)
            flows.append(memory.step(frames, rows, ii, jj, coords, coords))
            assert memory.hidden is not None and memory.hidden.dtype == dtype
    assert moved[1] == pytest.approx(moved[0], abs=1e-2)
    for flow in flows:
        assert flow.delta.dtype == flow.weight.dtype == flow.damping.dtype == torch.float32
        assert torch.allclose(flow.delta, flows[0].delta, atol=1e-2)
        assert torch.allclose(flow.weight, flows[0].weight, atol=1e-2)
