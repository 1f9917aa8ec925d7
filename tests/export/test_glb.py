"""`people.glb`: the format's own rules, and the skin evaluated again from the file alone."""

import dataclasses

import numpy as np
import pygltflib as gltf
import pytest
import torch
from scipy.spatial.transform import Rotation

from multithumbs.export.glb import visibility_keys, write_glb
from multithumbs.types import JOINT_NAMES

DTYPES = {gltf.FLOAT: "<f4", gltf.UNSIGNED_BYTE: "u1", gltf.UNSIGNED_SHORT: "<u2"}
WIDTHS = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


class File:
    """A reader of its own: knows the format, not our writer."""

    def __init__(self, path):
        self.doc = gltf.GLTF2.load_binary(str(path))
        self.blob = self.doc.binary_blob()

    def array(self, index):
        accessor = self.doc.accessors[index]
        view = self.doc.bufferViews[accessor.bufferView]
        shape = WIDTHS[accessor.type]
        dtype = np.dtype(DTYPES[accessor.componentType])
        count = accessor.count * int(np.prod(shape))
        assert count * dtype.itemsize == view.byteLength
        assert view.byteOffset % 4 == 0
        assert view.byteOffset + view.byteLength <= len(self.blob)
        flat = np.frombuffer(self.blob, dtype, count, view.byteOffset)
        array = flat.reshape(accessor.count, *shape)
        return array.swapaxes(1, 2) if accessor.type == "MAT4" else array

    def node(self, name):
        (index,) = [i for i, node in enumerate(self.doc.nodes) if node.name == name]
        return index

    def world(self, seconds):
        """World matrix of every node at a key time."""
        doc = self.doc
        local = {
            i: {
                "translation": np.array(n.translation or [0, 0, 0], float),
                "rotation": np.array(n.rotation or [0, 0, 0, 1], float),
                "scale": np.array(n.scale or [1, 1, 1], float),
            }
            for i, n in enumerate(doc.nodes)
        }
        for channel in doc.animations[0].channels:
            sampler = doc.animations[0].samplers[channel.sampler]
            times, values = self.array(sampler.input), self.array(sampler.output)
            key = max(int(np.searchsorted(times, seconds + 1e-4)) - 1, 0)
            if sampler.interpolation == gltf.ANIM_LINEAR:
                inside = times[0] <= seconds <= times[-1]
                assert abs(times[key] - seconds) < 1e-3 or not inside
            local[channel.target.node][channel.target.path] = values[key].astype(float)
        parent = {child: i for i, n in enumerate(doc.nodes) for child in n.children or []}

        def matrix(i):
            own = np.eye(4)
            own[:3, :3] = Rotation.from_quat(local[i]["rotation"]).as_matrix() * local[i]["scale"]
            own[:3, 3] = local[i]["translation"]
            return matrix(parent[i]) @ own if i in parent else own

        return [matrix(i) for i in range(len(doc.nodes))]

    def skinned(self, person, seconds):
        """Vertices of ``person`` in the world."""
        mesh = self.doc.nodes[self.node(f"person_{person}")]
        skin = self.doc.skins[mesh.skin]
        world = self.world(seconds)
        bind = self.array(skin.inverseBindMatrices)
        joints = np.stack([world[j] @ b for j, b in zip(skin.joints, bind, strict=True)])
        attributes = self.doc.meshes[mesh.mesh].primitives[0].attributes
        position = self.array(attributes.POSITION)
        homogeneous = np.concatenate([position, np.ones_like(position[:, :1])], axis=1)
        total = np.zeros((len(position), 3))
        for half in range(2):
            index = self.array(getattr(attributes, f"JOINTS_{half}"))
            weight = self.array(getattr(attributes, f"WEIGHTS_{half}"))
            moved = np.einsum("vkij,vj->vki", joints[index], homogeneous)[..., :3]
            total += (moved * weight[..., None]).sum(1)
        return total


@pytest.fixture(scope="module")
def written(two_shots, body, tmp_path_factory):
    path = tmp_path_factory.mktemp("glb") / "people.glb"
    write_glb(two_shots, body, path)
    return path


def test_the_skin_says_what_lbs_says(written, two_shots, body):
    file = File(written)
    for row in (0, 11, 23, 30, 47):
        parameters = (
            torch.from_numpy(getattr(two_shots, name)[row]) for name in ("pose", "betas", "transl")
        )
        expected = body.vertices(*parameters).numpy()
        seconds = two_shots.frame[row] / float(two_shots.fps)
        found = file.skinned(int(two_shots.person[row]), seconds)
        assert np.abs(found - expected).max() < 1e-4


def test_structure_is_what_the_format_demands(written, two_shots, body):
    file = File(written)
    doc = file.doc
    assert [doc.nodes[i].name for i in doc.scenes[0].nodes] == [
        "person_0", "person_0_skeleton", "person_1", "person_1_skeleton",
        "camera_shot_0", "camera_shot_1",
    ]  # fmt: skip
    assert len(file.blob) == doc.buffers[0].byteLength
    for skin in doc.skins:
        assert [doc.nodes[j].name for j in skin.joints] == list(JOINT_NAMES)
        assert file.array(skin.inverseBindMatrices).shape == (24, 4, 4)
    for mesh in doc.meshes:
        (primitive,) = mesh.primitives
        position = file.array(primitive.attributes.POSITION)
        accessor = doc.accessors[primitive.attributes.POSITION]
        np.testing.assert_array_equal(accessor.min, position.min(0))
        np.testing.assert_array_equal(accessor.max, position.max(0))
        indices = file.array(primitive.indices)
        assert len(indices) == 3 * len(body.faces)
        assert indices.max() == len(position) - 1
        weights = [file.array(getattr(primitive.attributes, f"WEIGHTS_{i}")) for i in (0, 1)]
        np.testing.assert_allclose(sum(w.sum(1) for w in weights), 1, atol=1e-5)
        joints = [file.array(getattr(primitive.attributes, f"JOINTS_{i}")) for i in (0, 1)]
        assert max(j.max() for j in joints) < 24
        normals = file.array(primitive.attributes.NORMAL)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    targets = set()
    for channel in doc.animations[0].channels:
        sampler = doc.animations[0].samplers[channel.sampler]
        times = file.array(sampler.input)
        assert (np.diff(times) > 0).all()
        assert doc.accessors[sampler.input].min == [times.min()]
        assert doc.accessors[sampler.input].max == [times.max()]
        assert doc.accessors[sampler.output].count == len(times)
        targets.add((channel.target.node, channel.target.path))
    assert len(targets) == len(doc.animations[0].channels)
    assert all(node.name for node in doc.nodes)
    assert two_shots.licences[0] in doc.asset.copyright


def test_neighbouring_rotations_never_change_sign(written):
    file = File(written)
    for channel in file.doc.animations[0].channels:
        if channel.target.path == "rotation":
            values = file.array(file.doc.animations[0].samplers[channel.sampler].output)
            assert ((values[1:] * values[:-1]).sum(1) > 0).all()
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)


def test_cameras_look_where_the_video_looked(written, two_shots):
    file = File(written)
    for row in (0, 15):
        shot = row // 12
        matrix = file.world(row / float(two_shots.fps))[file.node(f"camera_shot_{shot}")]
        expected = two_shots.world_from_cam[row]
        np.testing.assert_allclose(matrix[:3, 3], expected[:3, 3], atol=1e-5)
        np.testing.assert_allclose(-matrix[:3, 2], expected[:3, 2], atol=1e-5)
        np.testing.assert_allclose(matrix[:3, 1], -expected[:3, 1], atol=1e-5)
    assert file.doc.cameras[0].perspective.aspectRatio == pytest.approx(16 / 9)


def test_who_is_not_there_is_scaled_away(two_shots, body, tmp_path):
    keep = ~((two_shots.person == 1) & ((two_shots.frame < 4) | (two_shots.frame == 9)))
    rows = {
        name: getattr(two_shots, name)[keep]
        for name in (
            "person", "frame", "shot", "island", "global_orient", "body_pose", "betas", "transl",
            "joints_world", "observed", "confidence",
        )
    }  # fmt: skip
    result = dataclasses.replace(two_shots, **rows)
    write_glb(result, body, tmp_path / "people.glb")
    file = File(tmp_path / "people.glb")
    node = file.node("person_1_skeleton")
    fps = float(two_shots.fps)
    for frame, visible in ((4, 1), (8, 1), (10, 1), (23, 1)):
        assert file.world(frame / fps)[node][0, 0] == visible
    (channel,) = [
        c
        for c in file.doc.animations[0].channels
        if c.target.path == "scale" and c.target.node == node
    ]
    sampler = file.doc.animations[0].samplers[channel.sampler]
    np.testing.assert_allclose(file.array(sampler.input) * fps, [0, 4, 9, 10, 24], atol=1e-4)
    np.testing.assert_array_equal(file.array(sampler.output)[:, 0], [0, 1, 0, 1, 0])
    assert sampler.interpolation == gltf.ANIM_STEP


def test_visibility_of_someone_who_is_always_there():
    frame, scale = visibility_keys(np.arange(5, 9), 5)
    np.testing.assert_array_equal(frame, [5, 9])
    np.testing.assert_array_equal(scale, [1, 0])


def test_islands_do_not_overlap(two_islands, body, tmp_path):
    write_glb(two_islands, body, tmp_path / "people.glb")
    file = File(tmp_path / "people.glb")
    fps = float(two_islands.fps)
    first = file.skinned(0, 0)
    second = file.skinned(0, 12 / fps)
    assert second[:, 0].min() > first[:, 0].max()


def test_nobody_gives_a_file_that_still_opens(nobody, body, tmp_path):
    write_glb(nobody, body, tmp_path / "people.glb")
    doc = gltf.GLTF2.load_binary(str(tmp_path / "people.glb"))
    assert len(doc.meshes) == 0
    assert len(doc.cameras) == 2


def test_size_is_sane(written):
    assert written.stat().st_size < 3_000_000
