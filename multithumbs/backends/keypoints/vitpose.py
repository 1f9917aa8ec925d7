"""`Keypoints` by ViTPose-H: one crop per person, batched across frames (paper section 3.1)."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn

from multithumbs.backends.batching import in_batches
from multithumbs.backends.keypoints.vitpose_boxes import boxes_of_meshes
from multithumbs.body import load_body
from multithumbs.config.keypoints import KeypointsConfig, ViTPoseConfig
from multithumbs.errors import ConfigError
from multithumbs.models.vitpose import build, kept_part, ours_from_official
from multithumbs.models.vitpose.crop import crop_matrix, crop_person, crop_rectangle, normalised
from multithumbs.models.vitpose.decode import Decoding, find_peaks, image_from_heatmap, locate
from multithumbs.models.vitpose.network import HEATMAP_HW, heatmaps, mirrored_back
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.types import Bodies, Detections, Frame, Keypoints
from multithumbs.types.work import Work

PIXEL_CENTRE = 0.5
"""Our pixel coordinates minus the network's: its first pixel's centre is (0, 0)."""
NUM_KEYPOINTS = 23
BODY_KEYPOINTS = {"coco": 17, "wholebody": NUM_KEYPOINTS}


def estimate(
    work: Work[KeypointsConfig],
    config: ViTPoseConfig,
    detections: Detections,
    bodies: Bodies | None,
) -> Keypoints:
    """The 23 keypoints of every detection row; those that the head lacks have confidence 0.

    Raises:
        ConfigError: the configuration wants the boxes of meshes and there are no bodies.
        BackendUnavailable: ``transformers`` is not installed.
        CheckpointError: the checkpoint's file is another network's.
    """
    count, known = len(detections), BODY_KEYPOINTS[config.head]
    uv, confidence = np.zeros((count, NUM_KEYPOINTS, 2)), np.zeros((count, NUM_KEYPOINTS))
    if count:
        reader = work.kept.get("reader", lambda: Reader(work, config))
        rectangle = crop_rectangle(_boxes(work, config, detections, bodies), config.padding)
        first, last = int(detections.frame[0]), int(detections.frame[-1])
        crops = Crops(
            work.video.frames(first, last + 1),
            detections.frame,
            crop_matrix(rectangle, unbiased=reader.unbiased),
        )

        def read(rows: slice) -> tuple[slice, np.ndarray, np.ndarray]:
            return rows, *reader.read(crops.take(rows), rectangle[rows])

        for rows, xy, score in in_batches(count, config.batch, read):
            uv[rows, :known], confidence[rows, :known] = xy + PIXEL_CENTRE, score
            work.progress(int(detections.frame[rows.stop - 1]) - first + 1, last - first + 1)
        hw = work.video.info.hw
        confidence *= ((uv >= 0) & (uv < (hw[1], hw[0]))).all(-1)
    return Keypoints(
        uv=np.where(confidence[..., None] > 0, uv, 0.0),
        confidence=confidence,
        xyz=np.zeros((count, NUM_KEYPOINTS, 3)),
        xyz_confidence=np.zeros((count, NUM_KEYPOINTS)),
    )


def _boxes(
    work: Work[KeypointsConfig],
    config: ViTPoseConfig,
    detections: Detections,
    bodies: Bodies | None,
) -> Float64[np.ndarray, "N 4"]:
    """What is cropped, in the network's pixels."""
    boxes = detections.box_xyxy
    if config.boxes == "meshes":
        if bodies is None:
            raise ConfigError(
                "keypoints.boxes=meshes needs bodies that are made without keypoints; choose "
                "bodies=hmr2 or keypoints.boxes=detections"
            )
        boxes = boxes_of_meshes(load_body(work.body_npz), bodies, boxes, work.video.info.hw)
    return boxes - PIXEL_CENTRE


class Crops:
    """Crops of consecutive rows out of a stream of frames.

    A batch that did not fit into memory is asked for again, smaller: crops are kept until a
    later row is asked for. Never more than a batch and one frame's rows are held.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        frame: Int64[np.ndarray, " N"],
        crop_from_image: Float64[np.ndarray, "N 2 3"],
    ) -> None:
        self._frames = frames
        self._frame = frame
        self._matrices = crop_from_image
        self._held: dict[int, np.ndarray] = {}

    def take(self, rows: slice) -> UInt8[np.ndarray, "B 256 192 3"]:
        """The crops of ``rows``, which must not begin before those of an earlier call."""
        self._held = {row: crop for row, crop in self._held.items() if row >= rows.start}
        while rows.stop - 1 not in self._held:
            index, rgb = next(self._frames)
            low, high = np.searchsorted(self._frame, [index, index + 1])
            for row in range(max(int(low), rows.start), int(high)):
                self._held[row] = crop_person(rgb, self._matrices[row])
        return np.stack([self._held[row] for row in range(rows.start, rows.stop)])


class Reader:
    """The network on its device, and how its heat-maps are read."""

    def __init__(self, work: Work[KeypointsConfig], config: ViTPoseConfig) -> None:
        self._known = BODY_KEYPOINTS[config.head]
        trained: Decoding = "udp" if config.head == "coco" else "quarter"
        self._decoding: Decoding = trained if config.decoding == "trained" else config.decoding
        self._flip = config.flip
        self._device = torch.device(work.runtime.device)
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._model = load(work, config).to(self._device)
        self._model.get_submodule("backbone").to(self._dtype)

    @property
    def unbiased(self) -> bool:
        """Whether crops are cut, and places go back, by UDP's rule."""
        return self._decoding == "udp"

    @torch.inference_mode()
    def read(
        self, crops: UInt8[np.ndarray, "B 256 192 3"], rectangle: Float64[np.ndarray, "B 4"]
    ) -> tuple[Float64[np.ndarray, "B K 2"], Float64[np.ndarray, "B K"]]:
        """Image pixels (the network's) and confidences, 0 where a map has no peak."""
        pixels = normalised(torch.from_numpy(crops).to(self._device)).to(self._dtype)
        maps = self._maps(pixels)
        peaks = find_peaks(maps)
        xy = image_from_heatmap(
            locate(maps, peaks, self._decoding).double(),
            torch.from_numpy(rectangle).to(self._device),
            HEATMAP_HW,
            unbiased=self.unbiased,
        )
        return xy.cpu().numpy(), peaks.score.clamp(0, 1).double().cpu().numpy()

    def _maps(self, pixels: Float[Tensor, "B 3 256 192"]) -> Float[Tensor, "B K 64 48"]:
        maps = heatmaps(self._model, pixels, self._known)
        if not self._flip:
            return maps
        mirrored = heatmaps(self._model, pixels.flip(-1), self._known)
        return (maps + mirrored_back(mirrored, shift=not self.unbiased)) / 2


def load(work: Work[KeypointsConfig], config: ViTPoseConfig) -> nn.Module:
    """The network with the checkpoint's weights, on the CPU."""
    (name,) = config.checkpoints
    with torch.device("meta"):
        model = build(config.architecture, config.head)
    tensors = kept_part(read_tensors(work.checkpoints[name]), config.head)
    load_strict(model, ours_from_official(tensors), name=name)
    return model.eval()
