"""Where the background is: everything but the people, with a margin."""

import cv2
import numpy as np
from jaxtyping import Bool, Int64

from multithumbs.types import Detections, Masks


def background(
    detections: Detections,
    masks: Masks,
    rows: Int64[np.ndarray, " R"],
    low_hw: tuple[int, int],
    margin: float,
) -> Bool[np.ndarray, "h w"]:
    """True where no person of ``rows`` stands, at the reduced size ``low_hw``.

    A person without a mask takes their box. Both grow by ``margin`` times the shorter side
    of the box, so that hair, shadows and the edge's blur stay out too.
    """
    height, width = low_hw
    scale = np.array([width / masks.hw[1], height / masks.hw[0]] * 2)
    free = np.ones(low_hw, np.uint8)
    for row in rows:
        box = detections.box_xyxy[row] * scale
        grow = max(2, round(margin * float(min(box[2] - box[0], box[3] - box[1]))))
        if masks.offsets[row + 1] - masks.offsets[row] <= 1:  # none, or nothing but background
            corner = np.floor(box[:2]).astype(int) - grow
            opposite = np.ceil(box[2:]).astype(int) + grow
            cv2.rectangle(free, corner.tolist(), opposite.tolist(), 0, -1)
            continue
        dense = masks.dense(int(row)).astype(np.uint8)
        small = cv2.resize(dense, (width, height), interpolation=cv2.INTER_AREA)
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * grow + 1, 2 * grow + 1))
        free[cv2.dilate(small, kernel) > 0] = 0
    return free.astype(bool)
