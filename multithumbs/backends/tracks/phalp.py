"""`Tracks` by PHALP: appearance on the UV map, 3D place and pose (facts/phalp.md)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64

from multithumbs.backends.batching import in_batches
from multithumbs.backends.tracks.phalp_textures import Painter
from multithumbs.body import BodyModel, load_body
from multithumbs.config.tracks import PhalpConfig
from multithumbs.errors import CheckpointError, ConfigError
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.models.phalp import (
    AppearanceEncoder,
    PosePredictor,
    PredictorArchitecture,
    encoder_name,
    predictor_name,
)
from multithumbs.models.phalp.predictor import POSE_ENTRIES
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.render.texture import Texels
from multithumbs.solvers.phalp_cost import DISTANCES, coded_distance
from multithumbs.solvers.phalp_texture import ColourSettings, colour_distance
from multithumbs.solvers.phalp_tracker import Compare, PhalpTracker, PredictPose, Settings, Sights
from multithumbs.types import Bodies, Detections, Masks, Tracks
from multithumbs.types.work import Work

ENCODER: Final = "phalp-hmar"
PREDICTOR: Final = "phalp-pose-predictor"
STATISTICS: Final = "phalp-pose-statistics"
TEXEL_FACES: Final = "phalp-texel-faces"
TEXEL_WEIGHTS: Final = "phalp-texel-weights"
SMPL_FACES: Final = 13776
FOCAL_PX: Final = 5000.0
IMAGE_PX: Final = 256.0
CAMERA_SCALE: Final = np.array([1.0, 1.0, 200.0])
"""What PHALP divides a camera's entries in the pose vector by."""
MIN_DEPTH_M: Final = 0.1


def follow(work: Work[PhalpConfig], detections: Detections, bodies: Bodies, masks: Masks) -> Tracks:
    """Track ids; -1 for rows without a usable body and of tracks that were never confirmed."""
    config = work.config
    usable = _usable(detections, bodies, config)
    xy, camera = phalp_places(bodies, work.video.info.hw)
    pose = pose_vectors(bodies, camera)
    settings = Settings(
        distance=DISTANCES[config.distance],
        max_cost=config.max_cost,
        history=config.history,
        max_age=config.max_age,
        confirm_hits=config.confirm_hits,
        blend=config.texture_memory,
    )
    tracker = PhalpTracker(settings, _compare(work), _predict_pose(work))
    num_frames = 0
    for frame, rows, texture in _frames(work, detections, bodies, masks, usable):
        tracker.step(
            Sights(
                frame=frame,
                row=rows,
                pose=pose[rows],
                xy=xy[rows],
                camera=camera[rows],
                confidence=detections.score[rows],
                texture=texture,
            )
        )
        num_frames += 1
    return Tracks(
        track=tracker.labels(len(detections), max(min(config.confirm_hits, num_frames), 1))
    )


def phalp_places(
    bodies: Bodies, hw: tuple[int, int]
) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, "N 3"]]:
    """Each body's origin in PHALP's two frames.

    Its image is the frame padded to a square (0 to 1), its camera has the focal length 5000 for
    that square at 256 pixels: depths there are those at which the body would look as large.
    """
    side = max(hw)
    ratio = IMAGE_PX / side
    z = np.maximum(bodies.transl[:, 2], MIN_DEPTH_M)
    uv = (bodies.K[:, :2] @ bodies.transl[..., None])[..., 0] / z[:, None]
    corner = np.array([(side - hw[1]) // 2, (side - hw[0]) // 2])
    xy = (uv + corner) / side
    depth = z * FOCAL_PX / (bodies.K[:, 0, 0] * ratio)
    across = (xy - 0.5) * IMAGE_PX * depth[:, None] / FOCAL_PX
    return xy, np.column_stack([across, depth])


def pose_vectors(
    bodies: Bodies, camera: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "N 229"]:
    """24 rotation matrices (the global one in ``cam`` first), betas, camera."""
    turns = matrix_from_axis_angle(torch.as_tensor(bodies.pose)).numpy().reshape(len(bodies), 216)
    return np.concatenate([turns, bodies.betas, camera / CAMERA_SCALE], axis=1)


def _usable(detections: Detections, bodies: Bodies, config: PhalpConfig) -> Bool[np.ndarray, " N"]:
    size = detections.box_xyxy[:, 2:] - detections.box_xyxy[:, :2]
    return (
        (detections.score >= config.min_score)
        & (size >= np.array(config.min_box_wh_px)).all(1)
        & (bodies.confidence > 0)
        & (bodies.transl[:, 2] > MIN_DEPTH_M)
    )


def _frames(
    work: Work[PhalpConfig],
    detections: Detections,
    bodies: Bodies,
    masks: Masks,
    usable: Bool[np.ndarray, " N"],
) -> Iterator[tuple[int, Int64[np.ndarray, " R"], Float[np.ndarray, "R 4 S S"]]]:
    """Every frame between the first and the last detection, with its rows and their textures."""
    if len(detections) == 0:
        return
    first, end = int(detections.frame[0]), int(detections.frame[-1]) + 1

    def rows_of(frame: int) -> Int64[np.ndarray, " R"]:
        low, high = np.searchsorted(detections.frame, [frame, frame + 1])
        return low + np.flatnonzero(usable[low:high])

    if work.config.appearance == "none":
        for frame in range(first, end):
            rows = rows_of(frame)
            yield frame, rows, np.zeros((len(rows), 4, 0, 0), np.float32)
            work.progress(frame + 1 - first, end - first)
        return
    body = load_body(work.body_npz, device=work.runtime.device)
    painter = Painter(body, _texels(work, body), work.config, work.runtime.device)
    for frame, rgb in work.video.frames(first, end):
        rows = rows_of(frame)
        yield frame, rows, painter.paint(rgb, rows, detections.box_xyxy, bodies, masks)
        work.progress(frame + 1 - first, end - first)


def _texels(work: Work[PhalpConfig], body: BodyModel) -> Texels:
    """The UV map that the configuration names.

    Raises:
        ConfigError: the body has no map, or PHALP's tables are not for its faces.
    """
    if work.config.atlas == "phalp":
        files = (work.checkpoints[name] for name in (TEXEL_FACES, TEXEL_WEIGHTS))
        texels = read_texels(*files)
        if texels.face.max() >= len(body.faces) or len(body.faces) != SMPL_FACES:
            raise ConfigError(
                f"tracks.atlas=phalp is a map of SMPL's {SMPL_FACES} faces, and this body has "
                f"{len(body.faces)}; use tracks.atlas=body or body_model=smpl"
            )
        return texels
    if body.face_uv is None:
        raise ConfigError(
            f"tracks.appearance={work.config.appearance} needs a body with a UV map, and this "
            "one has none; use tracks.atlas=phalp, tracks.appearance=none or tracks=hungarian3d"
        )
    return Texels.of(body.face_uv.cpu().numpy(), work.config.texture_size)


def _compare(work: Work[PhalpConfig]) -> Compare:
    config = work.config
    if config.appearance == "none":
        return lambda tracks, seen: np.zeros((len(tracks), len(seen)))
    if config.appearance == "colour":
        settings = ColourSettings(
            cells=config.colour_cells,
            noise=config.colour_noise,
            unknown=config.colour_unknown,
            doubt=config.colour_doubt,
        )
        return lambda tracks, seen: colour_distance(tracks, seen, settings)
    encoder = work.kept.get("encoder", lambda: load_encoder(work))
    device, dtype = work.runtime.device, next(encoder.parameters()).dtype

    def encode(uv: Float[np.ndarray, "B 4 S S"]) -> Float[np.ndarray, "B D"]:
        def run(batch: slice) -> torch.Tensor:
            return encoder(torch.as_tensor(uv[batch]).to(device, dtype)).float().cpu()

        with torch.inference_mode():
            return torch.cat(list(in_batches(len(uv), config.batch, run))).numpy()

    return lambda tracks, seen: coded_distance(tracks, seen, encode)


def load_encoder(work: Work[PhalpConfig]) -> AppearanceEncoder:
    """The appearance encoder on the run's device; bfloat16 on CUDA.

    Raises:
        CheckpointError: the checkpoint's file is not PHALP's, damaged, or refused as unsafe.
    """
    with torch.device("meta"):
        encoder = AppearanceEncoder()
    load_strict(encoder, read_tensors(work.checkpoints[ENCODER]), name=ENCODER, keep=encoder_name)
    if work.runtime.device.startswith("cuda"):
        encoder.to(torch.bfloat16)
    return encoder.eval().requires_grad_(False).to(work.runtime.device)


def _predict_pose(work: Work[PhalpConfig]) -> PredictPose | None:
    """PHALP's transformer, or None where a track is expected to keep its last pose."""
    if work.config.pose == "last":
        return None
    tensors = read_tensors(work.checkpoints[PREDICTOR])
    kept = {name: value for key, value in tensors.items() if (name := predictor_name(key))}
    architecture = PredictorArchitecture.of(kept, head_width=work.config.head_width)
    with torch.device("meta"):
        predictor = PosePredictor(architecture)
    load_strict(predictor, tensors, name=PREDICTOR, keep=predictor_name)
    predictor.eval().requires_grad_(False).to(work.runtime.device)
    statistics = torch.from_numpy(read_statistics(work.checkpoints[STATISTICS]))
    mean, std = statistics.float().to(work.runtime.device)

    def predict(
        pose: Float64[np.ndarray, "T H 229"],
        frame: Int64[np.ndarray, "T H"],
        elapsed: Int64[np.ndarray, " T"],
    ) -> Float64[np.ndarray, "T 229"]:
        given = torch.as_tensor(pose).to(mean)
        when, unseen = (torch.as_tensor(x).to(mean.device) for x in (frame, elapsed))
        with torch.inference_mode():
            return predictor.predict_next(given, when, unseen, mean, std).double().cpu().numpy()

    return predict


def read_texels(faces_path: Path, weights_path: Path) -> Texels:
    """PHALP's ``fmap_256.npy`` (face of each texel, -1 for none) and ``bmap_256.npy`` (weights).

    Raises:
        CheckpointError: the files are something else; a pickled array is refused unread.
    """
    try:
        face = np.asarray(np.load(faces_path, allow_pickle=False), dtype=np.int64)
        weights = np.asarray(np.load(weights_path, allow_pickle=False), dtype=np.float64)
        if face.ndim != 2 or len(set(face.shape)) != 1 or weights.shape != (*face.shape, 3):
            raise ValueError(f"shapes {face.shape} and {weights.shape}")
        if not (face >= 0).any() or not np.isfinite(weights).all():
            raise ValueError("no texels, or no finite weights")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{faces_path} and {weights_path} are not PHALP's fmap_256.npy and bmap_256.npy "
            f"({str(error).partition(chr(10))[0]}); run `multithumbs checkpoints fetch "
            f"{TEXEL_FACES} {TEXEL_WEIGHTS}`"
        ) from error
    row, column = np.nonzero(face >= 0)
    return Texels(
        size=len(face), row=row, column=column, face=face[row, column], weights=weights[row, column]
    )


def read_statistics(path: Path) -> Float64[np.ndarray, "2 229"]:
    """Mean and standard deviation of pose vectors; entries that the file lacks get 0 and 1.

    Raises:
        CheckpointError: not PHALP's ``mean_std.npy``; a pickled array is refused unread.
    """
    try:
        stored = np.load(path, allow_pickle=False)
        rows = np.asarray(stored, dtype=np.float64).reshape(2, -1)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not PHALP's mean_std.npy ({str(error).partition(chr(10))[0]}); run "
            f"`multithumbs checkpoints fetch {STATISTICS}`"
        ) from error
    if rows.shape[1] > POSE_ENTRIES or not np.isfinite(rows).all():
        raise CheckpointError(
            f"{path} holds {rows.shape[1]} entries or no finite numbers; expected at most "
            f"{POSE_ENTRIES}: run `multithumbs checkpoints fetch {STATISTICS}`"
        )
    full = np.repeat([[0.0], [1.0]], POSE_ENTRIES, axis=1)
    full[:, : rows.shape[1]] = rows
    return full
