"""SAM 2's own tracking inside a shot: a box starts a person's mask, memory carries it on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from multithumbs.backends.batching import in_batches
from multithumbs.backends.masks.sam2 import feature_maps, load
from multithumbs.backends.masks.sam_boxes import Shapes, encoded, pixels_of
from multithumbs.config.masks import MasksConfig, Sam2MasksConfig
from multithumbs.models.sam.pixels import sam2_boxes, sam2_logits
from multithumbs.types import Detections, Masks
from multithumbs.types.work import Work

BOX_CORNERS = (2, 3)
"""SAM 2's labels of the two points that make a box."""


def propagate(work: Work[MasksConfig], config: Sam2MasksConfig, detections: Detections) -> Masks:
    """A mask per detection row, followed through the shot where that is possible.

    Per frame, everyone who is followed is found again from memory; detections take the followed
    masks whose boxes fit theirs (Hungarian), and those left over start a mask of their own. Only
    what the memory reaches back to is kept: memory does not grow with the shot.
    """
    runs: list[np.ndarray] = []
    first, last = int(detections.frame[0]), int(detections.frame[-1])
    follower = Follower(work, config)
    with torch.inference_mode():
        for frame in work.video.frames(first, last + 1):
            boxes = detections.box_xyxy[detections.frame == frame.index]
            pixels = pixels_of([frame], follower.device)
            runs += encoded(follower.step(frame.index - first, pixels, boxes), config)
            work.progress(frame.index - first + 1, last - first + 1)
    return Masks.from_runs(runs, work.video.info.hw)


@dataclass(slots=True)
class Person:
    """Somebody who is followed: one session each, so that people come and go freely."""

    session: Any
    seen: int
    """Step of the last fitting detection."""


class Follower:
    """Everyone who is followed, frame by frame."""

    def __init__(self, work: Work[MasksConfig], config: Sam2MasksConfig) -> None:
        self._model = work.kept.get("model", lambda: load(work, config, video=True))
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceCache

        self.device = torch.device(work.runtime.device)
        self._config = config
        self._side = config.architecture.image_size
        self._hw = work.video.info.hw
        # All sessions look at the same frame: its features are computed once.
        self._cache = Sam2VideoInferenceCache(self.device, self.device, 1)
        self._people: list[Person] = []

    def step(self, step: int, pixels: Tensor, boxes: Float64[np.ndarray, "N 4"]) -> Shapes:
        """Shapes of the next frame's detections.

        Args:
            step: 0, 1, 2, ... without gaps.
            pixels: the frame, (1, H, W, 3) uint8, on the device.
            boxes: its detections.

        Raises:
            BackendUnavailable: the people do not fit into the CUDA device's memory.
        """
        return next(in_batches(1, 1, lambda _: self._step(step, pixels, boxes)))

    def _step(self, step: int, pixels: Tensor, boxes: Float64[np.ndarray, "N 4"]) -> Shapes:
        self._look(step, pixels)
        followed = [self._predict(person, step) for person in self._people]
        of_box = fitting(
            boxes, [box_of_logits(shape) for shape, _ in followed], self._config.follow_overlap
        )
        found: list[tuple[Tensor, Tensor]] = []
        for corners, person in zip(boxes, of_box, strict=True):
            if person < 0:
                self._people.append(self._begin(step, corners))
                found.append(self._predict(self._people[-1], step))
            else:
                self._people[person].seen = step
                found.append(followed[person])
        self._forget(step)
        if not found:
            empty = torch.zeros((0, *self._hw), device=self.device)
            return Shapes(empty, empty.new_zeros(0))
        logits, quality = zip(*found, strict=True)
        return Shapes(torch.stack(logits), torch.stack(quality))

    def _look(self, step: int, pixels: Tensor) -> None:
        """Put the frame's features where every session finds them."""
        maps = feature_maps(self._model, pixels, self._side)
        positions = self._positions(maps)
        self._cache.clear_all()
        self._cache.cache_vision_features(
            step,
            {
                "vision_feats": [level.flatten(2).permute(2, 0, 1) for level in maps],
                "vision_pos_embeds": [level.flatten(2).permute(2, 0, 1) for level in positions],
            },
        )

    def _positions(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The sine positions that the image encoder's neck adds to its levels."""
        encoding = self._model.vision_encoder.neck.position_encoding
        width = self._config.architecture.channels
        shapes = [torch.Size((1, width, *level.shape[-2:])) for level in maps]
        return [encoding(shape, self.device, torch.float32) for shape in shapes]

    def _begin(self, step: int, corners: Float64[np.ndarray, "4"]) -> Person:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        session = Sam2VideoInferenceSession(
            video_height=self._hw[0],
            video_width=self._hw[1],
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=torch.float32,
        )
        session.cache = self._cache
        box = sam2_boxes(torch.from_numpy(corners)[None], self._hw, self._side)
        prompt = {
            "point_coords": box.float().view(1, 1, 2, 2),
            "point_labels": torch.tensor([[BOX_CORNERS]], dtype=torch.int32),
        }
        session.add_point_inputs(session.obj_id_to_idx(0), step, prompt)
        session.obj_with_new_inputs = [0]
        return Person(session, seen=step)

    def _predict(self, person: Person, step: int) -> tuple[Tensor, Tensor]:
        """One person's logits in the frame, and how sure it is that the person is there."""
        unused = torch.zeros(1, device=self.device)  # the features lie in the cache
        found = self._model(person.session, frame=unused, frame_idx=step)
        self._trim(person.session, step)
        logits = sam2_logits(found.pred_masks[:, 0].float(), self._hw)[0]
        return logits, found.object_score_logits.float().sigmoid().view(())

    def _trim(self, session: Any, step: int) -> None:
        """Drop what the memory does not reach back to, and what only this frame needed."""
        settings = self._model.config
        reach = max(settings.num_maskmem, settings.max_object_pointers_in_encoder)
        session.processed_frames = {step: session.processed_frames[step]}
        for output in session.output_dict_per_obj.values():
            frames = output["non_cond_frame_outputs"]
            for old in [index for index in frames if index <= step - reach]:
                del frames[old]
            for kept in (*frames.values(), *output["cond_frame_outputs"].values()):
                kept.pop("high_res_masks", None)
        for tracked in session.frames_tracked_per_obj.values():
            for old in [index for index in tracked if index <= step - reach]:
                del tracked[old]

    def _forget(self, step: int) -> None:
        limit = step - self._config.max_lost
        self._people = [person for person in self._people if person.seen > limit]


def box_of_logits(logits: Tensor) -> Float64[np.ndarray, "4"]:
    """The box of the positive pixels, xyxy; all zeros where there is none."""
    inside = logits > 0
    columns, rows = (inside.any(axis).nonzero().flatten() for axis in (0, 1))
    if len(columns) == 0:
        return np.zeros(4)
    ends = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return np.array([float(end) for end in ends])


def fitting(
    boxes: Float64[np.ndarray, "N 4"],
    followed: Sequence[Float64[np.ndarray, "4"]],
    min_overlap: float,
) -> list[int]:
    """Per box, which followed mask is the same person's; -1 for none."""
    of_box = [-1] * len(boxes)
    if len(boxes) and followed:
        overlap = np.array([[box_overlap(box, other) for other in followed] for box in boxes])
        for box, other in _pairs(overlap):
            if overlap[box, other] >= min_overlap:
                of_box[box] = other
    return of_box


def _pairs(overlap: np.ndarray) -> Iterator[tuple[int, int]]:
    rows, columns = linear_sum_assignment(-overlap)
    yield from zip(rows.tolist(), columns.tolist(), strict=True)


def box_overlap(a: Float64[np.ndarray, "4"], b: Float64[np.ndarray, "4"]) -> float:
    """Intersection over union of two boxes; 0 for an empty one."""
    size = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(size.clip(0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if shared > 0 else 0.0
