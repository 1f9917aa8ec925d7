"""BlazePose's two files and the face network's on LiteRT (CPU)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from jaxtyping import Float32, Float64, UInt8

from multithumbs.errors import CheckpointError
from multithumbs.models.blazepose import detector, face, landmarks
from multithumbs.models.blazepose.erase import crop_without
from multithumbs.models.blazepose.region import apply_affine, crop, image_from_crop


@contextmanager
def _native_chatter_hidden() -> Iterator[None]:
    """LiteRT announces its delegate on file descriptor 2, into progress bars and JSON logs."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Network:
    """One LiteRT file that reads a square RGB image; outputs are addressed by their shapes, which
    are all different."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        side: int,
        output_shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        try:
            with _native_chatter_hidden():
                self._interpreter = Interpreter(str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path.name} is not a LiteRT model; run `multithumbs checkpoints verify`"
            ) from error
        self._input = _find(self._interpreter.get_input_details(), (1, side, side, 3), path)
        outputs = self._interpreter.get_output_details()
        self._outputs = [_find(outputs, shape, path) for shape in output_shapes]

    def __call__(self, image: Float32[np.ndarray, "S S 3"]) -> list[Float32[np.ndarray, "..."]]:
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]


def _find(details: list[dict[str, Any]], shape: tuple[int, ...], path: Path) -> int:
    for detail in details:
        if tuple(detail["shape"]) == shape:
            return detail["index"]
    found = [tuple(int(n) for n in detail["shape"]) for detail in details]
    raise CheckpointError(
        f"{path.name} has tensors {found} where {shape} was expected: it is another model; "
        "run `multithumbs checkpoints verify`"
    )


class DetectorNetwork:
    """Proposes people in one square window of an image."""

    def __init__(self, path: Path, *, threads: int) -> None:
        side = detector.INPUT_SIDE
        self._anchors = detector.anchor_centres()
        count = len(self._anchors)
        self._network = _Network(
            path,
            threads=threads,
            side=side,
            output_shapes=((1, count, 12), (1, count, 1)),
        )

    def __call__(
        self,
        rgb: UInt8[np.ndarray, "H W 3"],
        window: Float64[np.ndarray, "4"],
        *,
        min_score: float,
        others: Sequence[landmarks.Landmarks] = (),
    ) -> detector.Candidates:
        """Proposals of at least ``min_score`` inside ``window`` (a region), in image pixels.

        ``others`` are painted over first (`erase`).
        """
        side = detector.INPUT_SIDE
        pixels = crop_without(rgb, window, side, others)[0].astype(np.float32)
        boxes, logits = self._network(pixels / np.float32(127.5) - np.float32(1))
        found = detector.decode_candidates(boxes, logits, self._anchors, min_score=min_score)
        affine = image_from_crop(window, side)
        return detector.Candidates(
            score=found.score,
            hip_uv=apply_affine(affine, found.hip_uv),
            scale_uv=apply_affine(affine, found.scale_uv),
        )


class LandmarkNetwork:
    """Reads one person out of one region."""

    def __init__(self, path: Path, *, threads: int) -> None:
        side = landmarks.INPUT_SIDE
        self._network = _Network(
            path,
            threads=threads,
            side=side,
            output_shapes=((1, 195), (1, 1), (1, side, side, 1), (1, 64, 64, 39), (1, 117)),
        )

    def __call__(
        self,
        rgb: UInt8[np.ndarray, "H W 3"],
        roi: Float64[np.ndarray, "4"],
        *,
        mirrored: bool = False,
        others: Sequence[landmarks.Landmarks] = (),
    ) -> landmarks.Landmarks:
        """Landmarks of the person in ``roi``; ``mirrored`` shows the network the mirror image.

        ``others`` are painted over first (`erase`). The result is in the image's own
        coordinates and sides either way.
        """
        shown, hidden = crop_without(rgb, roi, landmarks.INPUT_SIDE, others)
        pixels = shown.astype(np.float32) / np.float32(255)
        if mirrored:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        rows, flag, segmentation, heatmap, world = self._network(pixels)
        seen = landmarks.decode_landmarks(
            rows, float(flag[0]), segmentation[..., 0], heatmap, world, roi, mirrored=mirrored
        )
        return landmarks.hide(seen, hidden) if others else seen


class FaceNetwork:
    """Says whether a region shows a face."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self._network = _Network(
            path, threads=threads, side=face.INPUT_SIDE, output_shapes=((1, 1, 1, 1),)
        )

    def __call__(self, rgb: UInt8[np.ndarray, "H W 3"], roi: Float64[np.ndarray, "4"]) -> face.Face:
        """What ``roi`` shows."""
        pixels = crop(rgb, roi, face.INPUT_SIDE).astype(np.float32) / np.float32(255)
        return face.Face(float(self._network(pixels)[0].item()), face.sharpness(pixels))
