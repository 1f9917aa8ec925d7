"""People and cameras, predicted or true, in the one form in which they are compared."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from multithumbs.synth.truth import Truth
from multithumbs.types.outputs import Result

MIN_DEPTH_M = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Rows N are person-frames that have a camera; T are cameras, one per frame."""

    person: Int64[np.ndarray, " N"]
    frame: Int64[np.ndarray, " N"]
    seen: Bool[np.ndarray, " N"]
    """Truth: visible enough to be demanded. Prediction: observed, not bridged."""
    pose: Float64[np.ndarray, "N 24 3"]
    betas: Float64[np.ndarray, "N 10"]
    transl: Float64[np.ndarray, "N 3"]
    joints_world: Float64[np.ndarray, "N 24 3"]
    camera_frame: Int64[np.ndarray, " T"]
    """Ascending."""
    K: Float64[np.ndarray, "T 3 3"]
    world_from_cam: Float64[np.ndarray, "T 4 4"]
    space: Int64[np.ndarray, " T"]
    """Frames of equal space share one world: the prediction's island, the truth's place."""
    shot_start: Int64[np.ndarray, " S"]

    @classmethod
    def of_result(cls, result: Result) -> "Scene":
        """A prediction; rows that lie in another island than their frame's camera are left out,
        for no image shows where they are."""
        camera = np.searchsorted(result.camera_frame, result.frame)
        keep = result.island == result.camera_island[camera]
        return cls(
            person=result.person[keep],
            frame=result.frame[keep],
            seen=result.observed[keep],
            pose=result.pose[keep],
            betas=result.betas[keep],
            transl=result.transl[keep],
            joints_world=result.joints_world[keep],
            camera_frame=result.camera_frame,
            K=result.K,
            world_from_cam=result.world_from_cam,
            space=result.camera_island,
            shot_start=result.shot_start,
        )

    @classmethod
    def of_truth(cls, truth: Truth) -> "Scene":
        """The truth: everyone in their room in every frame, those in sight marked ``seen``."""
        frame = np.arange(truth.num_frames)
        shot = np.searchsorted(truth.shot_start, frame, side="right") - 1
        return cls(
            person=truth.person,
            frame=truth.frame,
            seen=truth.visible,
            pose=truth.pose,
            betas=truth.betas,
            transl=truth.transl,
            joints_world=truth.joints_world,
            camera_frame=frame,
            K=truth.K,
            world_from_cam=truth.world_from_cam,
            space=truth.shot_room[shot],
            shot_start=truth.shot_start,
        )

    def camera_of(self, frame: Int64[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """Index of each frame's camera; -1 where it has none."""
        index = np.searchsorted(self.camera_frame, frame)
        index = np.minimum(index, len(self.camera_frame) - 1)
        return np.where(self.camera_frame[index] == frame, index, -1).astype(np.int64)

    def in_camera(
        self, points_world: Float64[np.ndarray, "M J 3"], frame: Int64[np.ndarray, " M"]
    ) -> Float64[np.ndarray, "M J 3"]:
        """World points in the camera of their frame, metres."""
        world_from_cam = self.world_from_cam[self.camera_of(frame)]
        return (points_world - world_from_cam[:, None, :3, 3]) @ world_from_cam[:, :3, :3]

    def uv(self) -> Float64[np.ndarray, "N 24 2"]:
        """Projected joints, pixels; NaN where they are not in front of the camera."""
        return self.project(self.joints_world, self.frame)

    def project(
        self, points_world: Float64[np.ndarray, "M J 3"], frame: Int64[np.ndarray, " M"]
    ) -> Float64[np.ndarray, "M J 2"]:
        """World points in the picture of their frame, pixels; NaN where they are not in front."""
        cam = self.in_camera(points_world, frame)
        cam = np.where(cam[..., 2:] > MIN_DEPTH_M, cam, np.nan)
        homogeneous = cam @ self.K[self.camera_of(frame)].transpose(0, 2, 1)
        return homogeneous[..., :2] / homogeneous[..., 2:]

    def between(self, start: int, end: int) -> "Scene":
        """The part of the frames ``[start, end)``; shots that begin in it or hold its start."""
        rows = (self.frame >= start) & (self.frame < end)
        cameras = (self.camera_frame >= start) & (self.camera_frame < end)
        starts = np.maximum(self.shot_start, start)
        ends = np.append(self.shot_start[1:], np.iinfo(np.int64).max)
        return Scene(
            person=self.person[rows],
            frame=self.frame[rows],
            seen=self.seen[rows],
            pose=self.pose[rows],
            betas=self.betas[rows],
            transl=self.transl[rows],
            joints_world=self.joints_world[rows],
            camera_frame=self.camera_frame[cameras],
            K=self.K[cameras],
            world_from_cam=self.world_from_cam[cameras],
            space=self.space[cameras],
            shot_start=starts[(starts < end) & (ends > start)],
        )

    def shot_of(self, frame: Int64[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """Index of the shot that holds each frame."""
        return (np.searchsorted(self.shot_start, frame, side="right") - 1).astype(np.int64)
