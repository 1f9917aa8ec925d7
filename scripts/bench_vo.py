"""`odometry=vo` against COLMAP's mapper on the same frames, masks and intrinsics.

    python scripts/bench_vo.py [--seeds 0,1] [--scenes dolly,static] [--no-colmap]

Rendered rooms with two people who walk; their true masks are given to both. COLMAP (a bench-only
dependency: `pip install pycolmap`) matches every frame with every other, with the true
intrinsics held fixed. The error is the root mean square distance of the camera centres after a
similarity, over the frames that COLMAP registered (all frames where it registered none), in
millimetres and as a share of the path's length; frames it leaves out count against it only in
their own column. For cameras that do not travel the motion that `vo` names is printed instead.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.odometry import VoOdometryConfig
from multithumbs.evaluation.metrics import ate_m
from multithumbs.stages import odometry
from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.clip import Stage, person_ids
from multithumbs.synth.demo import ADA, BO
from multithumbs.synth.room import RoomStyle
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.script import Gesture, Mark, Script
from multithumbs.synth.truth import truth_of
from multithumbs.types import Detections, Frame, Intrinsics, Masks, Odometry, VideoInfo
from multithumbs.types.work import Runtime, ShotItem, Work

HW = (360, 640)
FPS = 12
TRAVELLING = ("dolly", "forward", "arc", "crane", "handheld", "walk", "short")
STANDING = ("static", "pan", "zoom")


@dataclass
class Clip:
    """Rendered frames, in memory, and what is true about them; a `FrameReader`."""

    rgb: list[np.ndarray]
    people: list[np.ndarray]
    K: np.ndarray
    world_from_cam: np.ndarray

    def __post_init__(self) -> None:
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=HW,
            frame_rate=Fraction(FPS),
            timestamps_s=np.arange(len(self.rgb)) / FPS,
        )

    def frame(self, index: int) -> np.ndarray:
        return self.rgb[index]

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self.rgb[index])


def camera_script(kind: str, rng: np.random.Generator, seconds: float) -> CameraScript:
    """One camera of a kind, looking at the people from about 4 m."""
    side, high = rng.uniform(-0.8, 0.8), rng.uniform(1.2, 1.7)
    eye, target = np.array([side, high, 4.2]), np.array([rng.uniform(-0.3, 0.3), 1.0, 0.0])
    steps: list[tuple[np.ndarray, np.ndarray, float]] = [(eye, target, 1.0)]
    hand = 0.0
    match kind:
        case "dolly":
            away = np.array([rng.choice([-1, 1]) * 1.2, 0.1, 0])
            steps.append((eye + away, target + np.array([0.2, 0, 0]), 1.0))
        case "forward":
            steps.append((eye + np.array([0.2, 0, -1.4]), target, 1.0))
        case "arc":
            turn = rng.choice([-1, 1]) * np.radians(45)
            x, z = eye[0], eye[2]
            around = [x * np.cos(turn) + z * np.sin(turn), high,
                      z * np.cos(turn) - x * np.sin(turn)]  # fmt: skip
            middle = [x * np.cos(turn / 2) + z * np.sin(turn / 2), high,
                      z * np.cos(turn / 2) - x * np.sin(turn / 2)]  # fmt: skip
            steps += [(np.array(middle), target, 1.0), (np.array(around), target, 1.0)]
        case "crane":
            steps.append((eye + np.array([0.3, 0.9, 0.2]), target + np.array([0, -0.2, 0]), 1.0))
        case "handheld" | "short":
            hand = 3.0
            steps.append((eye + np.array([0.3, 0, -0.2]), target, 1.0))
        case "walk":
            hand = 2.0
            steps.append((eye + np.array([-1.0, 0, -0.6]), target + np.array([-1.6, 0, 0]), 1.0))
        case "pan":
            away = np.array([rng.choice([-1, 1]) * 1.8, 0.1, 0])
            steps.append((eye, target + away, 1.0))
        case "zoom":
            steps.append((eye, target, 1.35))
    times = np.linspace(0, seconds, len(steps))
    diagonal = float(np.hypot(*HW))
    keys = tuple(
        CameraKey(time_s=float(t), eye=tuple(e), target=tuple(g), focal_px=f * diagonal)
        for t, (e, g, f) in zip(times, steps, strict=True)
    )
    return CameraScript(keys=keys, handheld=hand, seed=int(rng.integers(1000)))


def make_clip(body: BodyModel, kind: str, seed: int) -> Clip:
    """The same kind and seed give the same clip."""
    rng = np.random.default_rng([seed, *map(ord, kind)])
    frames = 6 if kind == "short" else 30
    seconds = 30 / FPS
    walker = Script(
        marks=(
            Mark(time_s=-0.5, x=-1.6, z=0.2, facing_deg=80.0),
            Mark(time_s=seconds + 0.5, x=0.9, z=0.3, facing_deg=80.0),
        ),
        seed=seed,
    )
    talker = Script(
        marks=(Mark(time_s=0.0, x=0.8, z=-0.5, facing_deg=-30.0),),
        gestures=(Gesture(kind="wave", side="left", start_s=-0.5, end_s=9.0),),
        seed=seed + 1,
    )
    scene = Scene(
        name=kind,
        actors=(
            Actor(name="Ada", script=walker, outfit=ADA),
            Actor(name="Bo", script=talker, outfit=BO),
        ),
        shots=(ShotScript(start=0, end=frames, camera=camera_script(kind, rng, seconds)),),
        rooms=(RoomStyle(seed=seed + 3, texture_scale=0.5),),
        fps=Fraction(FPS),
        hw=HW,
        texture_size=256,
    )
    truth = truth_of(scene, body, with_visibility=False)
    pictures = list(Stage(scene, truth, body, threads=1).pictures())
    return Clip(
        rgb=[picture.rgb for picture in pictures],
        people=[person_ids(picture, 2) for picture in pictures],
        K=truth.K[0],
        world_from_cam=truth.world_from_cam,
    )


def perception(clip: Clip) -> tuple[Detections, Masks]:
    """True boxes and masks."""
    frame, box, dense = [], [], []
    for t, ids in enumerate(clip.people):
        for person in range(2):
            mask = ids == person
            if mask.sum() < 30:
                continue
            v, u = np.nonzero(mask)
            frame.append(t)
            box.append([u.min(), v.min(), u.max() + 1, v.max() + 1])
            dense.append(mask)
    count = len(frame)
    detections = Detections(
        frame=np.array(frame, dtype=np.int64),
        box_xyxy=np.array(box, dtype=np.float64).reshape(-1, 4),
        score=np.ones(count),
        roi=np.zeros((count, 4)),
    )
    return detections, Masks.from_dense(dense, HW)


def run_vo(clip: Clip) -> Odometry:
    total = len(clip.rgb)
    work = Work(
        video=clip,
        config=VoOdometryConfig(),
        runtime=Runtime(threads=1),
        shot=ShotItem(index=0, start=0, end=total, clean_start=0, clean_end=total),
        cut=None,
        body_npz=Path(),
        checkpoints={},
        progress=lambda done, total: None,
    )
    detections, masks = perception(clip)
    given = Intrinsics(K=clip.K, source="given", log_focal_std=0.0)
    return odometry.run(work, detections=detections, masks=masks, intrinsics=given)


def run_colmap(clip: Clip) -> dict[int, np.ndarray]:
    """``world_from_cam`` of the frames in COLMAP's largest model; empty if it makes none."""
    import pycolmap  # pyright: ignore[reportMissingImports]

    pycolmap.logging.minloglevel = 3
    pycolmap.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images, masks, out = root / "images", root / "masks", root / "out"
        for place in (images, masks, out):
            place.mkdir()
        for t, (rgb, people) in enumerate(zip(clip.rgb, clip.people, strict=True)):
            cv2.imwrite(str(images / f"{t:04d}.png"), rgb[..., ::-1])
            near = cv2.dilate((people >= 0).astype(np.uint8), np.ones((7, 7), np.uint8))
            cv2.imwrite(
                str(masks / f"{t:04d}.png.png"), np.where(near > 0, 0, 255).astype(np.uint8)
            )
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model, reader.mask_path = "PINHOLE", masks
        reader.camera_params = ",".join(
            str(v) for v in (clip.K[0, 0], clip.K[1, 1], clip.K[0, 2], clip.K[1, 2])
        )
        extraction = pycolmap.FeatureExtractionOptions()
        extraction.num_threads, extraction.use_gpu = 1, False
        pycolmap.extract_features(
            root / "db", images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader,
            extraction_options=extraction, device=pycolmap.Device.cpu,
        )  # fmt: skip
        matching = pycolmap.FeatureMatchingOptions()
        matching.num_threads, matching.use_gpu = 1, False
        pycolmap.match_exhaustive(
            root / "db", matching_options=matching, device=pycolmap.Device.cpu
        )
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads = 1
        options.ba_refine_focal_length = options.ba_refine_extra_params = False
        options.min_model_size = 3
        models = pycolmap.incremental_mapping(root / "db", images, out, options)
        if not models:
            return {}
        best = max(models.values(), key=lambda model: model.num_reg_images())
        poses = {}
        for image in best.images.values():
            if image.has_pose:
                cam_from_world = np.eye(4)
                cam_from_world[:3] = image.cam_from_world().matrix()
                poses[int(image.name[:4])] = np.linalg.inv(cam_from_world)
        return poses


def turn_deg(found: np.ndarray, truth: np.ndarray) -> float:
    """Median error of the rotations from the first frame on, degrees."""
    a, b = (np.linalg.inv(m[0]) @ m for m in (found, truth))
    cosine = (np.einsum("tij,tij->t", a[:, :3, :3], b[:, :3, :3]) - 1) / 2
    return float(np.median(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--scenes", default=",".join(TRAVELLING + STANDING))
    parser.add_argument("--colmap", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    body = load_body(EMBEDDED_BODY)
    print("scene     seed  path m | vo: motion    ATE mm (%)    turn deg   s  "
          "| COLMAP: frames  ATE mm (%)    turn deg    s")  # fmt: skip
    wins = total = 0
    for kind in arguments.scenes.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            clip = make_clip(body, kind, seed)
            truth = clip.world_from_cam
            path = float(np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1).sum())
            begun = time.perf_counter()
            own = run_vo(clip)
            seconds = time.perf_counter() - begun
            begun = time.perf_counter()
            poses = run_colmap(clip) if arguments.colmap else {}
            other_seconds = time.perf_counter() - begun
            rows = np.array(sorted(poses)) if len(poses) > 2 else np.arange(len(truth))
            moving = kind in TRAVELLING
            errors = []
            for found in (
                own.shot_from_cam[rows],
                np.array([poses[t] for t in rows.tolist()]) if len(poses) > 2 else None,
            ):
                if found is None:
                    errors.append((np.inf, np.inf))
                    continue
                ate = ate_m(found[:, :3, 3], truth[rows, :3, 3], with_scale=moving)
                errors.append((ate, turn_deg(found, truth[rows])))
            cells = [
                f"{1e3 * a:7.2f} ({100 * a / path:5.2f})" if moving else " " * 15 for a, _ in errors
            ]
            print(
                f"{kind:9s} {seed:3d}  {path:6.2f}  | {own.motion:9s} {cells[0]}  "
                f"{errors[0][1]:8.3f}  {seconds:4.1f} | {len(poses):4d} of {len(truth):3d}    "
                f"{cells[1]}  {errors[1][1]:8.3f}  {other_seconds:5.1f}  {own.warning}",
                flush=True,
            )
            if moving:
                total += 1
                wins += errors[0][0] <= errors[1][0]
    if total:
        print(f"vo is no worse in {wins} of {total} clips with a travelling camera")


if __name__ == "__main__":
    main()
