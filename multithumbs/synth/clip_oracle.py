"""A whole clip's perception, reconstructions of its cuts and odometry, from truth plus noise.

What a benchmark of the geometry runs its stages on: perception is replaced, and the network
behind `boundaries=vggt`; what that back-end makes of its answer, and everything from `alignment`
on, is real. The one thing that is looked at is the room behind the people, which
`FrameReader` renders when a stage asks for a frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.render.texture import Texels
from multithumbs.render.visibility import in_image
from multithumbs.synth.appearance import paint
from multithumbs.synth.clip_boundary import Reconstruction, Stage, reconstruct
from multithumbs.synth.clip_noise import ClipOracleNoise, OdometryNoise, PerceptionNoise
from multithumbs.synth.clip_perception import MIN_KEYPOINTS, PerceivedShot, look, perceive
from multithumbs.synth.renderer import Renderer
from multithumbs.synth.room import build_room
from multithumbs.synth.scene import Scene
from multithumbs.synth.truth import Truth, truth_of
from multithumbs.types import (
    Frame,
    Intrinsics,
    Masks,
    Odometry,
    Shots,
    Textures,
    Transition,
    VideoInfo,
)

MASK_GRID = (180, 320)
"""Rows and columns on which masks are cast."""
TEXTURE_SIZE = 64
TEXTURE_FRAMES = 4
MIN_COSINE = 0.3
STILL_OF_DEPTH = 0.004
"""A camera that travels less than this share of the background's depth does not travel."""


class RoomFrames:
    """A `FrameReader` that renders the room of a frame, without the people, when asked."""

    def __init__(self, scene: Scene, truth: Truth) -> None:
        self._scene, self._truth = scene, truth
        self._renderers: dict[int, Renderer] = {}
        self._pictures: dict[int, UInt8[np.ndarray, "H W 3"]] = {}
        self._info = VideoInfo(
            sha256="0" * 64, hw=scene.hw, frame_rate=scene.fps, timestamps_s=scene.times
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self.frame(index))

    def frame(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        if index not in self._pictures:
            room = self._scene.shot_of(index).room
            if room not in self._renderers:
                built = build_room(self._scene.rooms[room])
                self._renderers[room] = Renderer([], [built.furniture], built.shell, built.lighting)
            picture = self._renderers[room].picture(
                [], np.zeros((0, 4)), self._truth.K[index], self._truth.world_from_cam[index],
                self._scene.hw,
            )  # fmt: skip
            grain = np.random.default_rng(index).normal(0, 1.6, (*self._scene.hw, 1))
            noisy = np.clip(picture.rgb + grain + 0.5, 0, 255)
            self._pictures[index] = noisy.astype(np.uint8)
        return self._pictures[index]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOracle:
    """Everything that the stages from `alignment` on read, and the truth."""

    truth: Truth
    """``visible`` marks whom a detector could find: enough keypoints in sight."""
    video: RoomFrames
    shots: Shots
    perceived: tuple[PerceivedShot, ...]
    intrinsics: tuple[Intrinsics, ...]
    masks: tuple[Masks, ...]
    textures: tuple[Textures, ...]
    reconstructions: tuple[Reconstruction, ...]
    """Of every cut."""
    odometry: tuple[Odometry, ...]


def make_clip_oracle(
    body: BodyModel, scene: Scene, seed: int, noise: ClipOracleNoise | None = None
) -> ClipOracle:
    """The same scene, seed and noise give the same artifacts."""
    noise = noise or ClipOracleNoise()
    truth = truth_of(scene, body, with_visibility=False)
    sight = look(body, truth, np.arange(len(truth.frame)))
    visible = sight.visible.sum(1) >= MIN_KEYPOINTS
    truth = replace(truth, visible=visible, visible_fraction=sight.visible.mean(1))
    rngs = iter(np.random.default_rng([seed, 11]).spawn(5 * len(scene.shots)))
    stage = Stage(scene, truth, body)
    shots = range(len(scene.shots))
    perceived = tuple(perceive(body, truth, s, noise.perception, next(rngs)) for s in shots)
    texels = Texels.of(np.asarray(body.face_uv), TEXTURE_SIZE)
    painted = [paint(body, actor.outfit, texels) for actor in scene.actors]
    start, end = truth.shot_start, truth.shot_end
    return ClipOracle(
        truth=truth,
        video=RoomFrames(scene, truth),
        shots=Shots(
            start=start, end=end, clean_start=start, clean_end=end,
            transition=np.array([Transition.CUT if s else Transition.START for s in shots]),
        ),
        perceived=perceived,
        intrinsics=tuple(
            Intrinsics(K=p.K, source="estimated", log_focal_std=noise.perception.log_focal)
            for p in perceived
        ),
        masks=tuple(
            _masks(stage, truth, s, perceived[s], noise.perception, next(rngs)) for s in shots
        ),
        textures=tuple(
            _textures(stage, body, truth, perceived[s], painted, texels, noise.perception,
                      next(rngs)) for s in shots
        ),
        reconstructions=tuple(
            reconstruct(stage, truth, int(cut), noise.boundary, next(rngs)) for cut in start[1:]
        ),
        odometry=tuple(_odometry(stage, truth, s, noise.odometry, next(rngs)) for s in shots),
    )  # fmt: skip


def _masks(
    stage: Stage, truth: Truth, shot: int, perceived: PerceivedShot, noise: PerceptionNoise,
    rng: np.random.Generator,
) -> Masks:  # fmt: skip
    """Of the people in the shot's first and last frame, a little too large or too small."""
    frame, person = perceived.detections.frame, truth.person[perceived.truth_row]
    dense: list[Bool[np.ndarray, "H W"]] = [np.zeros(truth.hw, bool)] * len(frame)
    for t in {int(truth.shot_start[shot]), int(truth.shot_end[shot]) - 1}:
        seen = stage.see(t, MASK_GRID).person
        stride = truth.hw[0] // MASK_GRID[0]
        for row in np.flatnonzero(frame == t):
            full = np.repeat(np.repeat(seen == person[row], stride, 0), stride, 1)
            height = float(perceived.detections.roi[row, 2])
            grow = round(noise.mask_of_size * height * rng.normal())
            change = binary_dilation if grow > 0 else binary_erosion
            mask = full[: truth.hw[0], : truth.hw[1]]
            dense[row] = change(mask, iterations=abs(grow)) if grow else mask
    return Masks.from_dense(dense, truth.hw)


def _textures(
    stage: Stage, body: BodyModel, truth: Truth, perceived: PerceivedShot,
    painted: list[UInt8[np.ndarray, "T T 3"]], texels: Texels, noise: PerceptionNoise,
    rng: np.random.Generator,
) -> Textures:  # fmt: skip
    """What a few frames show of each track's true clothes, blurred, under the shot's exposure."""
    tracks = np.unique(perceived.tracks.track)
    size = TEXTURE_SIZE
    rgb = np.zeros((len(tracks), size, size, 3), np.uint8)
    weight = np.zeros((len(tracks), size, size))
    gain = np.exp(noise.gain * rng.normal()) * (1 + 0.3 * noise.gain * rng.normal(size=3))
    faces = body.faces.numpy()
    for index, track in enumerate(tracks):
        rows = perceived.truth_row[perceived.tracks.track == track]
        at = np.unique(np.linspace(0, len(rows) - 1, TEXTURE_FRAMES).round().astype(int))
        for row in rows[at]:
            frame = truth.frame[row]
            cam_from_world = np.linalg.inv(truth.world_from_cam[frame])
            points, normals = texels.points(stage.vertices(int(row)), faces)
            towards = truth.world_from_cam[frame][:3, 3] - points
            cosine = (normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
            inside, _ = in_image(points, truth.K[frame], truth.hw, cam_from_world)
            use = inside & (cosine > MIN_COSINE)
            there = texels.row[use], texels.column[use]
            weight[index][there] = np.maximum(weight[index][there], cosine[use])
        colours = painted[int(truth.person[rows[0]])].astype(np.float64)
        colours = gaussian_filter(colours, (1.0, 1.0, 0)) * gain
        colours += 255 * noise.colour * rng.normal(size=colours.shape)
        seen = weight[index] > 0
        rgb[index][seen] = np.clip(colours, 0, 255).astype(np.uint8)[seen]
    return Textures(track=tracks.astype(np.int64), rgb=rgb, weight=weight)


def _odometry(
    stage: Stage, truth: Truth, shot: int, noise: OdometryNoise, rng: np.random.Generator
) -> Odometry:
    frame = np.arange(truth.shot_start[shot], truth.shot_end[shot])
    true = np.linalg.inv(truth.world_from_cam[frame[0]]) @ truth.world_from_cam[frame]
    seen = stage.see(int(frame[0]))
    depth = float(np.median(seen.depth[(seen.person < 0) & np.isfinite(seen.depth)]))
    zoom = truth.K[frame, 0, 0] / truth.K[frame[0], 0, 0]
    if np.ptp(zoom) > 0.01:
        zoom = zoom * np.exp(noise.log_zoom * np.linspace(0, 1, len(frame)) * rng.normal())
    travels = np.ptp(true[:, :3, 3], axis=0).max() > STILL_OF_DEPTH * depth
    angle = Rotation.from_matrix(true[:, :3, :3]).magnitude().max()
    motion = "free" if travels else "rotation" if angle > np.deg2rad(0.1) else "static"
    if motion == "static":
        return _as_odometry(frame, np.tile(np.eye(4), (len(frame), 1, 1)), motion, zoom)
    fps = float(truth.fps)
    found = true.copy()
    walk = np.cumsum(rng.normal(size=(len(frame), 3)), axis=0) * noise.drift_rad / np.sqrt(3 * fps)
    walk += noise.jitter_rad * rng.normal(size=walk.shape)
    walk -= walk[0]
    found[:, :3, :3] = true[:, :3, :3] @ Rotation.from_rotvec(walk).as_matrix()
    if motion == "rotation":
        found[:, :3, 3] = 0
        return _as_odometry(frame, found, motion, zoom)
    stretch = np.eye(3) + noise.drift_of_path * rng.normal(size=(3, 3))
    jitter = noise.jitter_of_depth * depth * rng.normal(size=(len(frame), 3))
    path = true[:, :3, 3] @ stretch.T + jitter - jitter[0]
    found[:, :3, 3] = path / (depth * np.exp(noise.log_unit * rng.normal()))
    return _as_odometry(frame, found, motion, zoom)


def _as_odometry(
    frame: Int64[np.ndarray, " T"],
    shot_from_cam: Float64[np.ndarray, "T 4 4"],
    motion: str,
    zoom: Float64[np.ndarray, " T"],
) -> Odometry:
    return Odometry(
        frame=frame, shot_from_cam=shot_from_cam, motion=motion,
        tracked=np.ones(len(frame), bool), zoom=zoom, warning="",
    )  # fmt: skip
