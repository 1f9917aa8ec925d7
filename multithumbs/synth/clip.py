"""Rendering a scene to frames and to a video file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int32

from multithumbs.body import BodyModel
from multithumbs.io.video_writer import writing_video
from multithumbs.render.texture import Texels
from multithumbs.synth.appearance import dressed_offsets, paint
from multithumbs.synth.renderer import Picture, Renderer, Textured
from multithumbs.synth.room import build_room
from multithumbs.synth.scene import Scene
from multithumbs.synth.truth import Truth

BLOB_JOINTS = (0, 7, 8, 4, 5, 9)
BLOB_RADII_M = (0.17, 0.09, 0.09, 0.10, 0.10, 0.18)
GRAIN = 1.6
"""Standard deviation of the sensor's noise, in 8-bit steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dressed:
    """An actor's body with clothes' thickness, and its textured mesh."""

    body: BodyModel
    mesh: Textured


class Stage:
    """Everything that is built once per scene: dressed bodies and rooms.

    Raises ValueError for a body that cannot be dressed (no UV layout).
    """

    def __init__(
        self,
        scene: Scene,
        truth: Truth,
        body: BodyModel,
        *,
        device: str = "cpu",
        threads: int = 2,
    ) -> None:
        if body.face_uv is None:
            raise ValueError(f"body '{body.name}' has no UV layout to dress")
        self.scene, self.truth = scene, truth
        texels = Texels.of(body.face_uv.numpy(), scene.texture_size)
        self._actors = [self._dress(body, index, texels) for index in range(len(scene.actors))]
        self._renderers: dict[int, Renderer] = {}
        self._device, self._threads = device, threads

    def _dress(self, body: BodyModel, index: int, texels: Texels) -> _Dressed:
        outfit = self.scene.actors[index].outfit
        offsets = torch.from_numpy(dressed_offsets(body, outfit)).to(body.dtype)
        faces = body.faces.numpy()
        mesh = Textured(
            vertices=body.v_template.numpy(),
            faces=faces,
            face_uv=np.asarray(body.face_uv),
            face_texture=np.zeros(len(faces), np.int64),
            textures=(paint(body, outfit, texels),),
        )
        return _Dressed(body=replace(body, v_template=body.v_template + offsets), mesh=mesh)

    def _renderer(self, room: int) -> Renderer:
        if room not in self._renderers:
            built = build_room(self.scene.rooms[room])
            self._renderers[room] = Renderer(
                [actor.mesh for actor in self._actors],
                [built.furniture],
                built.shell,
                built.lighting,
                device=self._device,
                threads=self._threads,
            )
        return self._renderers[room]

    def picture(self, frame: int) -> Picture:
        """Render one frame; ``mesh`` holds person indices (and more where no person is)."""
        truth = self.truth
        people, blobs = [], []
        for person, actor in enumerate(self._actors):
            row = truth.row(person, frame)
            if row is None:  # elsewhere: out of every camera's reach
                people.append(np.full((len(actor.mesh.vertices), 3), -1e3, np.float32))
                continue
            pose, betas, transl = (
                torch.from_numpy(values[row]).to(actor.body.dtype)
                for values in (truth.pose, truth.betas, truth.transl)
            )
            people.append(actor.body.vertices(pose, betas, transl).numpy())
            blobs += [
                [*truth.joints_world[row, joint], radius]
                for joint, radius in zip(BLOB_JOINTS, BLOB_RADII_M, strict=True)
            ]
        return self._renderer(self.scene.shot_of(frame).room).picture(
            people,
            np.array(blobs).reshape(-1, 4),
            truth.K[frame],
            truth.world_from_cam[frame],
            self.scene.hw,
        )

    def pictures(self) -> Iterator[Picture]:
        """All frames, with the sensor's noise."""
        rng = np.random.default_rng(17)
        height, width = self.scene.hw
        grain = rng.normal(0, GRAIN, (height + 64, width + 64, 1)).astype(np.float32)
        for frame in range(self.scene.num_frames):
            picture = self.picture(frame)
            top, left = rng.integers(0, 64, 2)
            noisy = picture.rgb + grain[top : top + height, left : left + width]
            yield replace(picture, rgb=np.clip(noisy + 0.5, 0, 255).astype(np.uint8))


def person_ids(picture: Picture, num_people: int) -> Int32[np.ndarray, "H W"]:
    """Which person each pixel shows; -1 for the room."""
    return np.where(picture.mesh < num_people, picture.mesh, -1).astype(np.int32)


def render_clip(
    scene: Scene,
    truth: Truth,
    body: BodyModel,
    path: Path,
    *,
    device: str = "cpu",
    threads: int = 2,
    crf: int = 18,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Render every frame to H.264 (yuv420p). `ArtifactError` if the file cannot be written."""
    stage = Stage(scene, truth, body, device=device, threads=threads)
    with writing_video(path, frame_rate=scene.fps, hw=scene.hw, crf=crf) as writer:
        for done, picture in enumerate(stage.pictures(), start=1):
            writer.write(picture.rgb)
            progress(done, scene.num_frames)
