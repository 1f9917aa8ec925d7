"""Frozen artifacts and the conventions they share.

Frames of reference
    ``cam``     OpenCV camera: +x right, +y down, +z forward, metres once bodies are in it.
    ``shot``    one shot's odometry: the axes of its first camera, arbitrary scale.
    ``scene``   one cut's reconstruction: the axes of the camera before the cut.
    ``world``   metres, one per island (a chain of shots that could be aligned).
    ``ground``  metres, +y up, floor at y = 0; only `people` makes it.

Transforms are named ``a_from_b`` and map ``x_a = a_from_b @ x_b``; adjacent names match in
a product. The paper's ``[R|C]`` is ``cam_from_world``.

Pixels are ``uv`` with the first pixel's centre at (0.5, 0.5); sizes are ``hw``; boxes are
``xyxy``; images RGB uint8; angles radians; lengths metres; quaternions wxyz. ``frame`` is
the source video's frame index, int64; intervals are half-open.

Keypoints are COCO-WholeBody's first 23 (`KEYPOINT_NAMES`), with confidence 0 where a
back-end has none. Body joints are SMPL's 24 (`JOINT_NAMES`). A body is SMPL's own
parameterisation: axis-angle ``pose`` (24, 3) whose row 0 is the global orientation,
``betas`` (10,), and smplx's ``transl`` (added after posing, so the pelvis stands at
``rest_joints(betas)[0] + transl``).

Rows: `Detections`, `Keypoints`, `Masks`, `Bodies` and `Tracks` of one shot share their rows;
row ``n`` of each is the same person in the same frame, and rows are sorted by frame.
"""

from multithumbs.types.bodies import Bodies, Tracks
from multithumbs.types.cameras import Cameras, Intrinsics, Odometry
from multithumbs.types.detections import Detections, Keypoints, Masks, Textures
from multithumbs.types.people import Identities, People
from multithumbs.types.scene import Alignment, BoundaryScene, CutStatus
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES, KEYPOINT_PAIRS
from multithumbs.types.video import Frame, FrameReader, Shots, Transition, VideoInfo

__all__ = [
    "JOINT_NAMES",
    "JOINT_PARENTS",
    "KEYPOINT_NAMES",
    "KEYPOINT_PAIRS",
    "Alignment",
    "Bodies",
    "BoundaryScene",
    "Cameras",
    "CutStatus",
    "Detections",
    "Frame",
    "FrameReader",
    "Identities",
    "Intrinsics",
    "Keypoints",
    "Masks",
    "Odometry",
    "People",
    "Shots",
    "Textures",
    "Tracks",
    "Transition",
    "VideoInfo",
]
