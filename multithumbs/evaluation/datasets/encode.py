"""Pictures of a sequence as the video that the pipeline reads: undistorted, at its rate."""

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.datasets.layout import read_picture
from multithumbs.evaluation.datasets.sequence import EvalSequence, Lens
from multithumbs.io.atomic import replacing, writing
from multithumbs.io.video_writer import writing_video


def encode(sequence: EvalSequence, path: Path, *, crf: int = 16) -> bool:
    """Write the sequence's video unless it is there and its pictures have not changed.

    Returns whether it was written.

    Raises:
        ArtifactError: a picture cannot be read or has another size; no space left.
    """
    stamp = path.with_suffix(".json")
    made_from = _digest(sequence, crf)
    if path.is_file() and _stored(stamp) == made_from:
        return False
    with writing(path):
        stamp.unlink(missing_ok=True)
    rate = Fraction(sequence.fps).limit_denominator(1001)
    with writing_video(path, frame_rate=rate, hw=sequence.hw, crf=crf) as video:
        for picture in pictures(sequence):
            video.write(picture)
    with replacing(stamp) as temporary:
        temporary.write_text(json.dumps({"made_from": made_from}) + "\n", encoding="utf-8")
    return True


def pictures(sequence: EvalSequence) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Every picture, undistorted and of the video's size; its camera's matrix is the truth's
    ``K``."""
    stored_hw = sequence.stored_hw or sequence.hw
    maps: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for path, lens in zip(sequence.frames, sequence.lenses, strict=True):
        rgb = read_picture(path)
        if rgb.shape[:2] != stored_hw:
            h, w = stored_hw
            raise ArtifactError(f"{path} is {rgb.shape[0]}x{rgb.shape[1]}; expected {h}x{w}")
        if lens is not None:
            if id(lens) not in maps:
                maps[id(lens)] = undistorting(lens, stored_hw)
            rgb = cv2.remap(rgb, *maps[id(lens)], cv2.INTER_LINEAR)
        if stored_hw != sequence.hw:
            rgb = cv2.resize(rgb, sequence.hw[::-1], interpolation=cv2.INTER_AREA)
        yield rgb


def undistorting(lens: Lens, hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's maps from a pinhole picture with the lens' own ``K`` to the stored one."""
    coefficients, size = np.array(lens.distortion), hw[::-1]
    if lens.fisheye:
        return cv2.fisheye.initUndistortRectifyMap(
            lens.K, coefficients, np.eye(3), lens.K, size, cv2.CV_16SC2
        )
    return cv2.initUndistortRectifyMap(lens.K, coefficients, np.eye(3), lens.K, size, cv2.CV_16SC2)


def _digest(sequence: EvalSequence, crf: int) -> str:
    digest = hashlib.sha256(f"{sequence.fps} {sequence.hw} {crf}".encode())
    for path, lens in zip(sequence.frames, sequence.lenses, strict=True):
        found = path.stat()
        digest.update(f"{path.resolve()} {found.st_size} {found.st_mtime_ns}".encode())
        if lens is not None:
            digest.update(f"{lens.K.tolist()} {lens.distortion} {lens.fisheye}".encode())
    return digest.hexdigest()


def _stored(stamp: Path) -> str:
    try:
        return str(json.loads(stamp.read_text(encoding="utf-8"))["made_from"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
