"""The body layer: SMPL's function, for the embedded body and for a licensed SMPL alike."""

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import smplx
import torch
from jaxtyping import Float, Int64
from smplx.utils import Struct
from torch import Tensor

from multithumbs.body.kinematics import (
    JointFrames,
    forward_kinematics,
    joint_levers,
    joints_by_betas,
    moving_pairs,
    points_by_rotation,
)
from multithumbs.body.rig import KeypointRig, collapse_keypoints
from multithumbs.body.storage import NUM_JOINTS, read_body_file
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.types.skeleton import JOINT_PARENTS

EMBEDDED_BODY: Final = Path(__file__).parent / "assets" / "embedded_body.npz"
"""The body that ships with the package (CC0; `embedded_body.md` beside it says where from)."""


@dataclass(frozen=True, slots=True)
class Posed:
    """Points of posed bodies, metres."""

    joints: Float[Tensor, "*batch 24 3"]
    keypoints: Float[Tensor, "*batch 23 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedLinear:
    """Points of posed bodies and their derivatives.

    ``_by_rotation``: by right perturbations ``R_i @ exp(skew(delta_i))`` of the 24 local
    rotations, metres per radian, last two axes (joint, axis). ``_by_betas``: metres per unit.
    The derivative by ``transl`` is the identity for every point and is not stored.
    """

    joints: Float[Tensor, "*batch 24 3"]
    keypoints: Float[Tensor, "*batch 23 3"]
    keypoints_by_rotation: Float[Tensor, "*batch 23 3 24 3"]
    joints_by_betas: Float[Tensor, "*batch 24 3 10"]
    keypoints_by_betas: Float[Tensor, "*batch 23 3 10"]
    frames: JointFrames
    """Joint frames before ``transl``."""
    parents: tuple[int, ...]

    @property
    def joints_by_rotation(self) -> Float[Tensor, "*batch 24 3 24 3"]:
        """Made when asked for: few solvers need the joints' own."""
        pairs = moving_pairs(tuple((max(parent, 0),) for parent in self.parents), self.parents)
        return points_by_rotation(self.frames, joint_levers(self.frames, pairs), pairs, NUM_JOINTS)


@dataclass(frozen=True, kw_only=True, eq=False)
class BodyModel:
    """A body of SMPL's form; immutable tensors of one dtype on one device.

    T-pose and axes as SMPL's: +x the person's left, +y up, +z out of the chest; metres.
    """

    name: str
    licence: str
    sha256: str
    v_template: Float[Tensor, "V 3"]
    shapedirs: Float[Tensor, "V 3 10"]
    posedirs: Float[Tensor, "V 3 207"] | None
    """None for a body without pose blend shapes (smplx is then given zeros)."""
    J_regressor: Float[Tensor, "24 V"]
    J_template: Float[Tensor, "24 3"]
    J_shapedirs: Float[Tensor, "24 3 10"]
    lbs_weights: Float[Tensor, "V 24"]
    faces: Int64[Tensor, "F 3"]
    face_uv: Float[Tensor, "F 3 2"] | None
    """Texture coordinates of the faces' corners in [0, 1], v down; None without a UV layout."""
    vertex_part: Int64[Tensor, " V"] | None
    """Index into `PART_NAMES`; None where the body does not say."""
    keypoint_vertices: Float[Tensor, "23 V"]
    keypoint_joints: Float[Tensor, "23 24"]
    betas_range: Float[Tensor, "2 10"]
    """Least and greatest betas of the people it was made from (children included)."""
    rig: KeypointRig
    parents: tuple[int, ...] = JOINT_PARENTS

    @property
    def dtype(self) -> torch.dtype:
        return self.v_template.dtype

    @property
    def device(self) -> torch.device:
        return self.v_template.device

    def tensor(self, values: Float[np.ndarray, "*shape"]) -> Float[Tensor, "*shape"]:
        """Numbers in the model's precision, on its device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def rest_joints(self, betas: Float[Tensor, "*batch 10"]) -> Float[Tensor, "*batch 24 3"]:
        """Joints of the T-pose."""
        return (self.J_template.flatten() + betas @ self.J_shapedirs.flatten(0, 1).T).unflatten(
            -1, (NUM_JOINTS, 3)
        )

    def rest_vertices(self, betas: Float[Tensor, "*batch 10"]) -> Float[Tensor, "*batch V 3"]:
        """Vertices of the T-pose."""
        return (self.v_template.flatten() + betas @ self.shapedirs.flatten(0, 1).T).unflatten(
            -1, self.v_template.shape
        )

    def frames(
        self, rotmats: Float[Tensor, "*batch 24 3 3"], betas: Float[Tensor, "*batch 10"]
    ) -> JointFrames:
        """Joint frames before ``transl``."""
        return forward_kinematics(rotmats, self.rest_joints(betas), self.parents)

    def posed(
        self,
        pose: Float[Tensor, "*batch 24 3"],
        betas: Float[Tensor, "*batch 10"],
        transl: Float[Tensor, "*batch 3"],
    ) -> Posed:
        """Joints and keypoints, without computing any vertex."""
        return self.posed_by_matrices(matrix_from_axis_angle(pose), betas, transl)

    def posed_by_matrices(
        self,
        rotmats: Float[Tensor, "*batch 24 3 3"],
        betas: Float[Tensor, "*batch 10"],
        transl: Float[Tensor, "*batch 3"],
    ) -> Posed:
        """`posed`, from local rotation matrices."""
        frames = self.frames(rotmats, betas)
        keypoints = self.rig.points(frames, self.rig.pose_offsets(rotmats, betas))
        shift = transl[..., None, :]
        return Posed(frames.positions + shift, keypoints + shift)

    def linearise(
        self,
        rotmats: Float[Tensor, "*batch 24 3 3"],
        betas: Float[Tensor, "*batch 10"],
        transl: Float[Tensor, "*batch 3"],
    ) -> PosedLinear:
        """Joints and keypoints with their analytic derivatives."""
        frames = self.frames(rotmats, betas)
        terms = self.rig.terms(frames, self.rig.pose_offsets(rotmats, betas))
        by_betas = joints_by_betas(frames.rotations, self.J_shapedirs, self.parents)
        shift = transl[..., None, :]
        return PosedLinear(
            joints=frames.positions + shift,
            keypoints=terms.sum(-3) + shift,
            keypoints_by_rotation=self.rig.by_rotation(frames, terms, rotmats, self.parents),
            joints_by_betas=by_betas,
            keypoints_by_betas=self.rig.by_betas(frames, by_betas),
            frames=frames,
            parents=self.parents,
        )

    def vertices(
        self,
        pose: Float[Tensor, "*batch 24 3"],
        betas: Float[Tensor, "*batch 10"],
        transl: Float[Tensor, "*batch 3"],
    ) -> Float[Tensor, "*batch V 3"]:
        """Linear blend skinning, equal to ``smplx.SMPL``'s.

        smplx multiplies by 207 pose blend shapes even where all are zero; this does not, and
        needs neither their 68 MB nor their time.
        """
        rotmats = matrix_from_axis_angle(pose)
        frames = self.frames(rotmats, betas)
        rest = self.rest_vertices(betas)
        if self.posedirs is not None:
            eye = torch.eye(3, dtype=rotmats.dtype, device=rotmats.device)
            feature = (rotmats[..., 1:, :, :] - eye).flatten(-3)
            rest = rest + (feature @ self.posedirs.flatten(0, 1).T).unflatten(-1, rest.shape[-2:])
        origins = frames.positions - (frames.rotations @ self.rest_joints(betas)[..., None])[..., 0]
        affine = torch.cat([frames.rotations, origins[..., None]], -1).flatten(-2)  # (24, 12)
        blended = (self.lbs_weights @ affine).unflatten(-1, (3, 4))
        skinned = (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3]
        return skinned + transl[..., None, :]

    @cached_property
    def smplx_layer(self) -> smplx.SMPL:
        """``smplx.SMPL`` over the same tables, given as ``data_struct`` (smplx's own loader
        would unpickle a file)."""
        posedirs = self.posedirs
        if posedirs is None:
            posedirs = self.v_template.new_zeros(1, 1, 1).expand(*self.v_template.shape, 207)
        tables = Struct(
            v_template=_numpy(self.v_template),
            shapedirs=_numpy(self.shapedirs),
            posedirs=_numpy(posedirs),
            J_regressor=_numpy(self.J_regressor),
            weights=_numpy(self.lbs_weights),
            kintree_table=np.array([self.parents, range(NUM_JOINTS)]),
            f=_numpy(self.faces),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it prints that 10 betas are few
            layer = smplx.SMPL(model_path="", data_struct=tables, dtype=self.dtype)
        return layer.to(self.device)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def load_body(
    path: Path, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> BodyModel:
    """Read a body file (`EMBEDDED_BODY` or one that `import_smpl` wrote).

    Raises `CheckpointError` where the file is missing, damaged or of another kind.
    """
    tables, sha256 = read_body_file(path)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(device=device, dtype=dtype)

    # Collapsed in double precision whatever the dtype asked for: it is done once.
    doubles = {
        name: torch.from_numpy(getattr(tables, name))
        for name in (
            "keypoint_vertices", "keypoint_joints", "lbs_weights",
            "v_template", "shapedirs", "J_regressor",
        )
    }  # fmt: skip
    posedirs = torch.from_numpy(tables.posedirs) if len(tables.posedirs) else None
    rig = collapse_keypoints(**doubles, posedirs=posedirs)
    regressor = tables.J_regressor
    has_uv = len(tables.uv) > 0
    return BodyModel(
        name=tables.name,
        licence=tables.licence,
        sha256=sha256,
        v_template=tensor(tables.v_template),
        shapedirs=tensor(tables.shapedirs),
        posedirs=None if posedirs is None else tensor(tables.posedirs),
        J_regressor=tensor(regressor),
        J_template=tensor(regressor @ tables.v_template),
        J_shapedirs=tensor(np.einsum("jv,vcb->jcb", regressor, tables.shapedirs)),
        lbs_weights=tensor(tables.lbs_weights),
        faces=torch.from_numpy(tables.faces).to(device),
        face_uv=tensor(tables.uv[tables.face_uv_index]) if has_uv else None,
        vertex_part=torch.from_numpy(tables.vertex_part).to(device)
        if len(tables.vertex_part)
        else None,
        keypoint_vertices=tensor(tables.keypoint_vertices),
        keypoint_joints=tensor(tables.keypoint_joints),
        betas_range=tensor(tables.betas_range),
        rig=KeypointRig(
            touches=rig.touches,
            masses=rig.masses.to(device, dtype),
            offsets=rig.offsets.to(device, dtype),
            offsets_by_betas=rig.offsets_by_betas.to(device, dtype),
            offsets_by_pose=None
            if rig.offsets_by_pose is None
            else rig.offsets_by_pose.to(device, dtype),
        ),
    )
