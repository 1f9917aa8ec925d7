"""One person seen in one frame, and whether two sightings are the same person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import LandmarkNetwork, Landmarks
from multithumbs.models.blazepose.landmarks import (
    CENTRE,
    INPUT_SIDE,
    NUM_LANDMARKS,
    SCALE,
    crop_index,
)
from multithumbs.models.blazepose.region import apply_affine, image_from_crop, region_from_points
from multithumbs.models.blazepose.skeleton import LANDMARK_OF_JOINT, MIRRORED_KEYPOINT

TILT_DOUBT = 2.5
MIN_SHOWN = 10
"""Joints of the 17 that everybody's quality is a mean over: a face is not yet a person."""
BOX_STEP = 2
"""Crop pixels between the samples of a silhouette that make its box."""
BOX_STRAY = 0.001
"""Fraction of a silhouette that may stick out of its box on each side."""
OTHER_SIDE = MIRRORED_KEYPOINT[:17]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A region that the landmark network saw twice: as it is, and mirrored."""

    roi: Float64[np.ndarray, "4"]
    """The region that the landmarks put around the person."""
    joints_uv: Float64[np.ndarray, "17 2"]
    confidence: Float64[np.ndarray, " 17"]
    """0 outside the image."""
    box_xyxy: Float64[np.ndarray, "4"]
    flag: float
    disagreement: float
    """Mean distance of the two looks' visible joints over the region's side. The network agrees
    with itself on people and disagrees on furniture."""
    hidden: float
    """Fraction of the joints that lie inside the silhouettes of people in front."""
    look: Landmarks | None
    """The second look, while its silhouette is needed."""

    @property
    def doubt(self) -> float:
        """Disagreement, up to `TILT_DOUBT` times as much for a person upside down.

        Of regions far from upright, most are furniture: they must be seen more surely.
        """
        tilt = min(1.0, abs(float(self.roi[3])) / (np.pi / 2))
        return self.disagreement * (1 + (TILT_DOUBT - 1) * tilt)

    @property
    def shown(self) -> int:
        """How many joints lie inside the image, at least `MIN_SHOWN`: nobody is less of a person
        for being cut off."""
        return max(int((self.confidence > 0).sum()), MIN_SHOWN)

    @property
    def quality(self) -> float:
        """0 to 1."""
        seen = float(self.confidence.sum()) / self.shown
        return self.flag * seen * float(np.exp(-10 * self.doubt))


def sight(
    rgb: UInt8[np.ndarray, "H W 3"],
    roi: Float64[np.ndarray, "4"],
    network: LandmarkNetwork,
    config: BlazePoseDetectionsConfig,
    others: Sequence[Landmarks] = (),
) -> Sighting | None:
    """Look at a region, then, mirrored, at the region which that look suggests.

    ``others`` are painted over. None if nobody is there, if the landmarks make no region, or
    if too few joints are visible.
    """
    first = network(rgb, roi, others=others)
    if first.flag < config.hopeless_flag or not _usable(first):
        return None
    second = network(rgb, first.next_roi, mirrored=True, others=others)
    if not _usable(second):
        return None
    hw = rgb.shape[:2]
    confidence_a, confidence_b = joint_confidence(first, hw), joint_confidence(second, hw)
    uv_a, uv_b = first.uv[LANDMARK_OF_JOINT], second.uv[LANDMARK_OF_JOINT]
    next_roi = region_from_points(
        (first.uv[CENTRE] + second.uv[CENTRE]) / 2, (first.uv[SCALE] + second.uv[SCALE]) / 2
    )
    confidence = (confidence_a + confidence_b) / 2
    if (confidence >= config.visible_confidence).sum() < config.min_visible:
        return None
    return Sighting(
        roi=next_roi,
        joints_uv=uv_b,
        confidence=confidence,
        box_xyxy=_box(second, hw, config),
        flag=(first.flag + second.flag) / 2,
        disagreement=_mean_distance(uv_a, uv_b, confidence) / next_roi[2],
        hidden=hidden_fraction(uv_b, others),
        look=second,
    )


def joint_confidence(seen: Landmarks, hw: tuple[int, ...]) -> Float64[np.ndarray, " 17"]:
    """Probability that each COCO joint is visible inside the image."""
    return landmark_confidence(seen, hw)[LANDMARK_OF_JOINT]


def landmark_confidence(seen: Landmarks, hw: tuple[int, ...]) -> Float64[np.ndarray, " 33"]:
    """Probability that each landmark is visible inside the image."""
    uv = seen.uv[:NUM_LANDMARKS]
    inside = ((uv >= 0) & (uv < (hw[1], hw[0]))).all(-1)
    return (seen.visibility * seen.presence)[:NUM_LANDMARKS] * inside


def shared(weaker: Sighting, stronger: Sighting, config: BlazePoseDetectionsConfig) -> float:
    """Fraction of the weaker one's visible joints that lie on the stronger one's own.

    Left and right may be exchanged: people seen from behind often are.
    """
    reach = config.same_joint_distance * min(weaker.roi[2], stronger.roi[2])
    visible = weaker.confidence >= config.visible_confidence
    if not visible.any():
        return 1.0
    return max(
        float((np.linalg.norm(weaker.joints_uv - other, axis=-1) < reach)[visible].mean())
        for other in (stronger.joints_uv, stronger.joints_uv[OTHER_SIDE])
    )


def hidden_fraction(joints_uv: Float64[np.ndarray, "17 2"], others: Sequence[Landmarks]) -> float:
    """Fraction of the joints that lie inside somebody's silhouette."""
    inside = np.zeros(len(joints_uv), dtype=bool)
    for other in others:
        column, row = crop_index(other, joints_uv)
        inside |= other.segmentation[row, column] > 0
    return float(inside.mean())


def is_continuous(before: Sighting, after: Sighting, config: BlazePoseDetectionsConfig) -> bool:
    """Whether two sightings in neighbouring frames can be one person's."""
    turn = (after.roi[3] - before.roi[3] + np.pi) % (2 * np.pi) - np.pi
    return bool(
        jump(before, after) <= config.max_jump
        and abs(np.log(after.roi[2] / before.roi[2])) <= config.max_resize
        and abs(turn) <= config.max_turn
    )


def jump(before: Sighting, after: Sighting) -> float:
    """Mean distance that the visible joints moved, over the region's side."""
    weight = before.confidence * after.confidence
    return _mean_distance(before.joints_uv, after.joints_uv, weight) / before.roi[2]


def _mean_distance(
    a: Float64[np.ndarray, "17 2"],
    b: Float64[np.ndarray, "17 2"],
    weight: Float64[np.ndarray, " 17"],
) -> float:
    """Weighted mean joint distance, left and right exchanged if that is smaller."""
    weight = weight + 1e-3
    return min(
        float(np.average(np.linalg.norm(a - other, axis=-1), weights=weight))
        for other in (b, b[OTHER_SIDE])
    )


def _usable(seen: Landmarks) -> bool:
    return bool(np.isfinite(seen.uv).all() and seen.next_roi[2] > 1)


def _box(
    seen: Landmarks, hw: tuple[int, ...], config: BlazePoseDetectionsConfig
) -> Float64[np.ndarray, "4"]:
    """Box of what the image shows: the silhouette, without stray pixels, and visible landmarks."""
    confidence = landmark_confidence(seen, hw)
    visible = confidence >= min(config.visible_confidence, float(confidence.max()))
    uv = seen.uv[:NUM_LANDMARKS][visible]
    low, high = uv.min(0), uv.max(0)
    row, column = np.nonzero(seen.segmentation[::BOX_STEP, ::BOX_STEP] > 0)
    if len(row):
        crop_uv = np.stack([column, row], -1) * BOX_STEP + 0.5
        inside = apply_affine(image_from_crop(seen.roi, INPUT_SIDE), crop_uv)
        edges = np.quantile(inside, [BOX_STRAY, 1 - BOX_STRAY], axis=0)
        low, high = np.minimum(low, edges[0]), np.maximum(high, edges[1])
    return np.concatenate([low, high]).clip(0, (hw[1], hw[0], hw[1], hw[0]))
