"""Who may stand in whose way, from boxes alone."""

import numpy as np
from jaxtyping import Float64, Int64


def covered(
    frame: Int64[np.ndarray, " N"],
    box_xyxy: Float64[np.ndarray, "N 4"],
    depth: Float64[np.ndarray, " N"] | None = None,
) -> Float64[np.ndarray, " N"]:
    """Largest share of each row's box that one other box of its frame covers, 0 to 1.

    Rows are sorted by frame. With ``depth`` only boxes of nearer rows count.
    """
    share = np.zeros(len(frame))
    edges = np.flatnonzero(np.diff(frame)) + 1
    for rows in np.split(np.arange(len(frame)), edges):
        box = box_xyxy[rows]
        low = np.maximum(box[:, None, :2], box[None, :, :2])
        high = np.minimum(box[:, None, 2:], box[None, :, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=-1)
        area = np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=1), 1e-9)
        cover = common / area[:, None]
        np.fill_diagonal(cover, 0)
        if depth is not None:
            cover[depth[rows][None, :] >= depth[rows][:, None]] = 0
        share[rows] = cover.max(1, initial=0)
    return np.minimum(share, 1.0)
