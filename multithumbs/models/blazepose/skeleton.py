"""BlazePose's 33 landmarks as COCO-WholeBody's first 23 keypoints."""

import numpy as np

LANDMARK_OF_KEYPOINT = np.array(
    [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 31, -1, 29, 32, -1, 30]
)
"""Landmark of each keypoint; -1 for the small toes, which BlazePose lacks."""

MIRRORED_KEYPOINT = np.array(
    [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 20, 21, 22, 17, 18, 19]
)
"""Keypoint of the other side."""

LANDMARK_OF_JOINT = LANDMARK_OF_KEYPOINT[:17]
"""Landmark of each of the 17 COCO joints."""
