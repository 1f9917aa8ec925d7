"""`people.glb`: everyone as a skinned, animated mesh that Blender and three.js open.

One skinned mesh ``person_<identity>`` each, its skeleton ``person_<identity>_skeleton`` of
SMPL's 24 joints under their own names; one animated camera per shot. Metres, +y up, seconds
from the first processed frame. Where a person has no row the skeleton is scaled to nothing
(``STEP`` keys).
Islands stand side by side along +x (`Result.island_offsets`).

The mesh is the person's own (betas). Pose blend shapes, which a licensed SMPL has and the
embedded body has not, cannot be said in a glTF skin and are left out.
"""

from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pygltflib as gltf
import torch
from jaxtyping import Float64, Int64

from multithumbs.body import BodyModel
from multithumbs.export.gltf_buffer import Buffer
from multithumbs.geometry.rotations import matrix_from_axis_angle, quaternion_from_matrix
from multithumbs.io.atomic import replacing
from multithumbs.render.overlay import identity_colour, vertex_normals
from multithumbs.types import JOINT_NAMES
from multithumbs.types.outputs import Result

INFLUENCES: Final = 8
"""Joints per vertex: two glTF sets of four, the strongest first (some viewers read only those)."""

GL_FROM_CV: Final = np.diag([1.0, -1.0, -1.0])
"""glTF's cameras look along -z with +y up."""


def write_glb(result: Result, body: BodyModel, path: Path) -> None:
    """Write `people.glb` atomically. Raises ArtifactError where it cannot be written."""
    document = build_glb(result, body)
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(document.save_to_bytes()))


def build_glb(result: Result, body: BodyModel) -> gltf.GLTF2:
    """The document, its binary chunk included."""
    document = gltf.GLTF2(
        asset=gltf.Asset(
            version="2.0", generator="multithumbs", copyright="; ".join(result.licences)
        )
    )
    animation = gltf.Animation(name="motion", samplers=[], channels=[])
    buffer = Buffer(document)
    writer = _Writer(result, body, buffer, animation)
    nodes: list[int] = []
    for person in result.people.tolist():
        nodes += writer.add_person(person)
    for shot in range(len(result.shot_start)):
        nodes += writer.add_camera(shot)
    document.scenes, document.scene = [gltf.Scene(name="world", nodes=nodes)], 0
    if animation.channels:  # the format knows no empty animation
        document.animations.append(animation)
    return buffer.finish()


class _Writer:
    """Adds people and cameras to one document; the skin's topology is stored once."""

    def __init__(
        self, result: Result, body: BodyModel, buffer: Buffer, animation: gltf.Animation
    ) -> None:
        self._result, self._body = result, body
        self._buffer, self._document, self._animation = buffer, buffer.document, animation
        self._offsets = result.island_offsets()
        self._first_frame = int(result.camera_frame[0]) if len(result.camera_frame) else 0
        self._faces = body.faces.cpu().numpy()
        self._shared: dict[str, int] = {}
        """Accessors of what all people have in common, made with the first of them."""

    def add_person(self, person: int) -> list[int]:
        """Mesh, skin, skeleton and motion of one identity; the indices of its root nodes."""
        result, document = self._result, self._document
        rows = np.flatnonzero(result.person == person)
        betas = self._body.tensor(result.betas[rows[0]])
        rest_joints = self._body.rest_joints(betas).double().cpu().numpy()
        vertices = self._body.rest_vertices(betas).cpu().numpy().astype(np.float32)
        mesh = len(document.nodes)
        skeleton, root = mesh + 1, mesh + 2
        document.nodes += [
            gltf.Node(name=f"person_{person}", mesh=len(document.meshes), skin=len(document.skins)),
            gltf.Node(name=f"person_{person}_skeleton", children=[root]),
        ]
        joints = self._add_skeleton(rest_joints)
        document.meshes.append(self._mesh(person, vertices))
        inverse_bind = np.repeat(np.eye(4, dtype=np.float32)[None], len(joints), 0)
        inverse_bind[:, :3, 3] = -rest_joints
        document.skins.append(
            gltf.Skin(
                name=f"person_{person}",
                joints=joints,
                skeleton=skeleton,
                inverseBindMatrices=self._buffer.add(inverse_bind),
            )
        )
        self._animate_person(rows, joints, rest_joints[0], skeleton)
        return [mesh, skeleton]

    def _add_skeleton(self, rest_joints: Float64[np.ndarray, "24 3"]) -> list[int]:
        first, parents = len(self._document.nodes), self._body.parents
        for joint, name in enumerate(JOINT_NAMES):
            parent = parents[joint]
            offset = rest_joints[joint] - (rest_joints[parent] if parent >= 0 else 0)
            children = [first + child for child, p in enumerate(parents) if p == joint]
            self._document.nodes.append(
                gltf.Node(name=name, translation=offset.tolist(), children=children)
            )
        return list(range(first, first + len(JOINT_NAMES)))

    def _mesh(self, person: int, vertices: np.ndarray) -> gltf.Mesh:
        add = self._buffer.add
        if not self._shared:
            order = np.argsort(-self._body.lbs_weights.cpu().numpy(), axis=1)[:, :INFLUENCES]
            weights = np.take_along_axis(self._body.lbs_weights.cpu().numpy(), order, axis=1)
            weights /= weights.sum(1, keepdims=True)
            order[weights == 0] = 0
            index = np.uint16 if len(vertices) <= np.iinfo(np.uint16).max else np.uint32
            flat = self._faces.reshape(-1).astype(index)
            self._shared["indices"] = add(flat, target=gltf.ELEMENT_ARRAY_BUFFER)
            for half in range(INFLUENCES // 4):
                part = slice(4 * half, 4 * half + 4)
                for name, values in (("JOINTS", order), ("WEIGHTS", weights)):
                    dtype = np.uint8 if name == "JOINTS" else np.float32
                    self._shared[f"{name}_{half}"] = add(
                        values[:, part].astype(dtype), target=gltf.ARRAY_BUFFER
                    )
        colour = (np.array(identity_colour(person)) / 255) ** 2.2  # glTF's factors are linear
        self._document.materials.append(
            gltf.Material(
                name=f"person_{person}",
                pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                    baseColorFactor=[*colour.tolist(), 1.0], metallicFactor=0.0, roughnessFactor=0.8
                ),
            )
        )
        attributes = gltf.Attributes(
            POSITION=add(vertices, target=gltf.ARRAY_BUFFER, bounds=True),
            NORMAL=add(vertex_normals(vertices, self._faces), target=gltf.ARRAY_BUFFER),
            **{name: index for name, index in self._shared.items() if name != "indices"},
        )
        primitive = gltf.Primitive(
            attributes=attributes,
            indices=self._shared["indices"],
            material=len(self._document.materials) - 1,
        )
        return gltf.Mesh(name=f"person_{person}", primitives=[primitive])

    def _animate_person(
        self,
        rows: Int64[np.ndarray, " M"],
        joints: list[int],
        rest_pelvis: Float64[np.ndarray, "3"],
        node: int,
    ) -> None:
        result = self._result
        rotations = matrix_from_axis_angle(torch.from_numpy(result.pose[rows]))
        quaternions = quaternion_from_matrix(rotations).numpy()
        time = self._buffer.add(self._seconds(result.frame[rows]), bounds=True)
        position = rest_pelvis + result.transl[rows] + self._offsets[result.island[rows]]
        self._channel(joints[0], "translation", time, position)
        for index, joint in enumerate(joints):
            self._channel(joint, "rotation", time, _xyzw(quaternions[:, index]))
        frame, scale = visibility_keys(result.frame[rows], self._first_frame)
        if len(frame) > 1:
            keys = self._buffer.add(self._seconds(frame), bounds=True)
            self._channel(node, "scale", keys, np.repeat(scale[:, None], 3, 1), gltf.ANIM_STEP)

    def add_camera(self, shot: int) -> list[int]:
        """The camera of one shot; no node where the shot has none."""
        result, document = self._result, self._document
        start, end = result.shot_start[shot], result.shot_end[shot]
        rows = np.flatnonzero((result.camera_frame >= start) & (result.camera_frame < end))
        if len(rows) == 0:
            return []
        K = result.K[rows[0]]
        document.cameras.append(
            gltf.Camera(
                name=f"shot_{shot}",
                type="perspective",
                perspective=gltf.Perspective(
                    yfov=float(2 * np.arctan2(K[1, 2], K[1, 1])),
                    aspectRatio=float(K[0, 2] / K[1, 2]),
                    znear=0.05,
                    zfar=1000.0,
                ),
            )
        )
        world_from_cam = result.world_from_cam[rows]
        rotation = torch.from_numpy(world_from_cam[:, :3, :3] @ GL_FROM_CV)
        quaternions = _xyzw(quaternion_from_matrix(rotation).numpy())
        centre = world_from_cam[:, :3, 3] + self._offsets[result.camera_island[rows]]
        document.nodes.append(
            gltf.Node(
                name=f"camera_shot_{shot}",
                camera=len(document.cameras) - 1,
                translation=centre[0].tolist(),
                rotation=quaternions[0].tolist(),
            )
        )
        node = len(document.nodes) - 1
        time = self._buffer.add(self._seconds(result.camera_frame[rows]), bounds=True)
        self._channel(node, "translation", time, centre)
        self._channel(node, "rotation", time, quaternions)
        return [node]

    def _seconds(self, frame: Int64[np.ndarray, " M"]) -> np.ndarray:
        return ((frame - self._first_frame) / float(self._result.fps)).astype(np.float32)

    def _channel(
        self, node: int, path: str, time: int, values: np.ndarray, how: str = gltf.ANIM_LINEAR
    ) -> None:
        output = self._buffer.add(values.astype(np.float32))
        self._animation.samplers.append(
            gltf.AnimationSampler(input=time, output=output, interpolation=how)
        )
        self._animation.channels.append(
            gltf.AnimationChannel(
                sampler=len(self._animation.samplers) - 1,
                target=gltf.AnimationChannelTarget(node=node, path=path),
            )
        )


def visibility_keys(
    frame: Int64[np.ndarray, " M"], first_frame: int
) -> tuple[Int64[np.ndarray, " Q"], Float64[np.ndarray, " Q"]]:
    """Frames at which a person with rows at ``frame`` (ascending) appears (1) or goes (0)."""
    runs = np.split(frame, np.flatnonzero(np.diff(frame) != 1) + 1)
    keys = [] if frame[0] == first_frame else [(first_frame, 0.0)]
    for run in runs:
        keys += [(int(run[0]), 1.0), (int(run[-1]) + 1, 0.0)]
    return np.array([k for k, _ in keys], np.int64), np.array([scale for _, scale in keys])


def _xyzw(wxyz: Float64[np.ndarray, "M 4"]) -> Float64[np.ndarray, "M 4"]:
    """glTF's order, and signs such that neighbours lie on the same side: viewers interpolate."""
    flips = np.cumprod([1.0, *(np.sign((a @ b) or 1.0) for a, b in pairwise(wxyz))])
    return np.roll(wxyz, -1, axis=1) * flips[:, None]
