"""`Bodies` by HMR2 (4DHumans): one network pass per detection, no keypoints needed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from multithumbs.backends.batching import Stream, in_batches
from multithumbs.body import BodyModel, load_body
from multithumbs.config.bodies import Hmr2Config
from multithumbs.geometry.projection import MIN_DEPTH_M, project
from multithumbs.geometry.rotations import axis_angle_from_matrix, rotation_between
from multithumbs.models.hmr2 import (
    HMR2,
    Prediction,
    crop_person,
    normalised,
    official_key,
    square_of_box,
    transl_from_crop_camera,
)
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.types import Bodies, Detections, Intrinsics, Keypoints
from multithumbs.types.work import Work

CHECKPOINT = "hmr2"
INDEX_OF_UV = 0.5
"""Our pixels less this are upstream's: there the first pixel's centre is (0, 0)."""


def estimate(
    work: Work[Hmr2Config],
    detections: Detections,
    keypoints: Keypoints | None,
    intrinsics: Intrinsics,
) -> Bodies:
    """A body for each detection row.

    Confidence is the detection's score: HMR2 gives none of its own. Rows whose box is too small,
    or whose prediction does not stand before the camera, have 0. ``residual_px`` compares with
    ``keypoints`` where there are any, and is 0 where nothing can be compared.
    """
    centre, side = square_of_box(detections.box_xyxy)
    usable = np.isfinite(detections.box_xyxy).all(-1) & (side >= work.config.min_box_px)
    rows = np.flatnonzero(usable)
    predictions = list(_predict(work, detections.frame[rows], centre[rows], side[rows]))
    body = load_body(work.body_npz)
    return _bodies(
        body,
        predictions,
        rows,
        centre,
        side,
        detections.score,
        keypoints,
        intrinsics,
        face_ray=work.config.face_ray,
    )


def load_network(work: Work[Hmr2Config]) -> HMR2:
    """The network on the run's device; on CUDA its backbone is bfloat16.

    Raises:
        CheckpointError: the checkpoint's file is not HMR2's, damaged, or refused as unsafe.
    """
    with torch.device("meta"):
        network = HMR2(work.config.architecture)
    tensors = read_tensors(work.checkpoints[CHECKPOINT])
    load_strict(network, tensors, name=CHECKPOINT, keep=official_key)
    if work.runtime.device.startswith("cuda"):
        network.backbone.to(torch.bfloat16)
    return network.eval().requires_grad_(False).to(work.runtime.device)


def _predict(
    work: Work[Hmr2Config],
    frame: Int64[np.ndarray, " M"],
    centre_uv: Float64[np.ndarray, "M 2"],
    side: Float64[np.ndarray, " M"],
) -> Iterator[Prediction]:
    """Batches of predictions, on the CPU in float64, for squares sorted by frame."""
    if len(frame) == 0:
        return
    infer = work.kept.get("network", lambda: _prepared(load_network(work), work.config))
    crops = Stream(_crops(work, frame, centre_uv - INDEX_OF_UV, side))

    def run(batch: slice) -> Prediction:
        return read(infer, np.stack(crops[batch]), work.runtime.device)

    done = 0
    with torch.inference_mode():
        for prediction in in_batches(len(frame), work.config.batch, run):
            done += len(prediction.betas)
            work.progress(done, len(frame))
            yield prediction


def _prepared(network: HMR2, config: Hmr2Config) -> Callable[[Tensor], Prediction]:
    return torch.compile(network) if config.compile else network


def read(
    infer: Callable[[Tensor], Prediction],
    crops: Float32[np.ndarray, "B 256 256 3"],
    device: str,
) -> Prediction:
    """One pass over crops of 0 to 255; the result lies on the CPU in float64."""
    pixels = torch.from_numpy(crops).to(device)
    return Prediction(*(part.cpu().double() for part in infer(normalised(pixels))))


def _crops(
    work: Work[Hmr2Config],
    frame: Int64[np.ndarray, " M"],
    centre: Float64[np.ndarray, "M 2"],
    side: Float64[np.ndarray, " M"],
) -> Iterator[Float32[np.ndarray, "256 256 3"]]:
    """Crops in the order of their rows; every frame is decoded once.

    ``centre`` in pixel indices.
    """
    with ThreadPoolExecutor(work.runtime.threads) as pool:
        for picture in work.video.frames(int(frame[0]), int(frame[-1]) + 1):
            first, last = np.searchsorted(frame, [picture.index, picture.index + 1])
            yield from pool.map(
                lambda row, rgb=picture.rgb: crop_person(
                    rgb, centre[row], float(side[row]), blur=work.config.blur
                ),
                range(first, last),
            )


def _bodies(
    body: BodyModel,
    predictions: list[Prediction],
    rows: Int64[np.ndarray, " M"],
    centre_uv: Float64[np.ndarray, "N 2"],
    side: Float64[np.ndarray, " N"],
    score: Float64[np.ndarray, " N"],
    keypoints: Keypoints | None,
    intrinsics: Intrinsics,
    *,
    face_ray: bool,
) -> Bodies:
    """Predictions of ``rows`` as bodies in the image's camera; the other rows fail."""
    count = len(score)
    K = torch.from_numpy(intrinsics.K).expand(count, 3, 3)
    rotmats = torch.eye(3).double().repeat(count, 24, 1, 1)
    betas, transl = torch.zeros(count, 10).double(), torch.zeros(count, 3).double()
    found = np.zeros(count, dtype=bool)
    if predictions:
        predicted = Prediction(*(torch.cat(parts) for parts in zip(*predictions, strict=True)))
        place = transl_from_crop_camera(
            predicted.camera,
            torch.from_numpy(centre_uv[rows]),
            torch.from_numpy(side[rows]),
            K[rows],
        )
        good = _is_sound(predicted, place)
        kept = torch.from_numpy(rows)[good]
        found[kept.numpy()] = True
        rotmats[kept], betas[kept] = predicted.rotmats[good], predicted.betas[good]
        transl[kept] = place[good]
        if face_ray:
            rotmats[kept, 0] = turned_to_ray(rotmats[kept, 0], betas[kept], transl[kept], body)
    pose = axis_angle_from_matrix(rotmats)
    posed = body.posed(pose, betas, transl)
    residual = np.zeros(count)
    if keypoints is not None:
        residual = residual_px(posed.keypoints, K, keypoints) * found
    return Bodies(
        pose=pose.numpy(),
        betas=betas.numpy(),
        transl=transl.numpy(),
        joints_cam=posed.joints.numpy(),
        K=K.numpy().copy(),
        confidence=np.where(found, np.clip(score, 0, 1), 0.0),
        residual_px=residual,
    )


def _is_sound(predicted: Prediction, transl: Float64[Tensor, "M 3"]) -> Bool[Tensor, " M"]:
    """Whether a row's numbers are finite and its body stands before the camera."""
    numbers = torch.cat([predicted.rotmats.flatten(1), predicted.betas, transl], dim=-1)
    return numbers.isfinite().all(-1) & (predicted.camera[:, 0] > 0) & (transl[:, 2] > MIN_DEPTH_M)


def turned_to_ray(
    orient: Float64[Tensor, "M 3 3"],
    betas: Float64[Tensor, "M 10"],
    transl: Float64[Tensor, "M 3"],
    body: BodyModel,
) -> Float64[Tensor, "M 3 3"]:
    """Global orientations in ``cam`` of people whose crops were read as if seen straight ahead.

    HMR2 learned to reproject into the crop with a focal length of 5000 px on 256 px, as if the
    camera looked at the person; through a real lens it looks past them by the angle of their
    viewing ray. An answer that minimises that reprojection is wrong by about this angle: 22
    degrees at 22 degrees off the axis, and 4 when turned back (``tests/stages/test_hmr2.py``).
    """
    pelvis = body.rest_joints(betas)[:, 0] + transl
    ahead = torch.tensor([0.0, 0, 1]).double().expand_as(pelvis)
    return rotation_between(ahead, pelvis) @ orient


def residual_px(
    keypoints_cam: Float64[Tensor, "N 23 3"], K: Float64[Tensor, "N 3 3"], seen: Keypoints
) -> Float64[np.ndarray, " N"]:
    """Confidence-weighted root mean square distance to ``seen``; 0 where nothing is seen."""
    uv = project(keypoints_cam, K).numpy()
    squared = ((uv - seen.uv) ** 2).sum(-1)
    before = keypoints_cam[..., 2].numpy() > MIN_DEPTH_M
    weight = np.where(before, seen.confidence, 0.0)
    total = weight.sum(-1)
    mean = (weight * np.where(before, squared, 0.0)).sum(-1) / np.where(total > 0, total, 1.0)
    return np.sqrt(mean)
