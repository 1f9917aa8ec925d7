"""The embedded body against Anny itself: its mesh, its skinning, its bones."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, BodyModel
from multithumbs.body.kinematics import forward_kinematics
from multithumbs.body.storage import read_body_file
from multithumbs.geometry import rigid
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS

pytest.importorskip("anny", reason="anny is a development extra")
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def make_body():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import make_body
    finally:
        sys.path.remove(str(SCRIPTS))
    return make_body


@pytest.fixture(scope="module")
def anny_adult(make_body: ModuleType) -> SimpleNamespace:
    """The average adult in Anny's rest pose, and how far each joint is turned from the T-pose."""
    source_of = sys.modules["anny_source"]
    source, _ = source_of.load_source()
    phenotype = source_of.average_adult(source_of.people(source)[0])
    _, joints = source_of.rest(source, phenotype)
    turn = source_of.t_from_rest(joints, source_of.knuckle_lines(source, phenotype))[0]
    return SimpleNamespace(
        source=source, phenotype=phenotype, joints=joints[0], rest_from_t=turn.mT
    )


def local(world: torch.Tensor) -> torch.Tensor:
    """Local rotations (24, 3, 3) of world rotations."""
    parents = list(JOINT_PARENTS[1:])
    return torch.cat([world[:1], world[parents].mT @ world[1:]])


def anny_vertices(adult: SimpleNamespace, turns: torch.Tensor) -> torch.Tensor:
    """Anny's own skinning, in SMPL's axes, with local ``turns`` (24, 3, 3) out of its rest pose.

    Every bone of Anny's goes rigidly with the SMPL joint that it was collapsed into.
    """
    module = sys.modules["anny_source"]
    frames = forward_kinematics(turns, adult.joints, JOINT_PARENTS)
    posed_from_rest = rigid.compose(
        frames.rotations,
        frames.positions - (frames.rotations @ adult.joints[..., None])[..., 0],
    )
    smpl_from_anny = torch.eye(4, dtype=torch.float64)
    smpl_from_anny[:3, :3] = module.smpl_axes(torch.eye(3, dtype=torch.float64)).mT
    moves = smpl_from_anny.mT @ posed_from_rest @ smpl_from_anny
    model = adult.source.model
    bones = [module.joint_of_bone(bone) for bone in model.bone_labels]
    coefficients = model.get_phenotype_blendshape_coefficients(**adult.phenotype)
    bone_poses = moves[bones] @ model.get_rest_model(coefficients)["rest_bone_poses"][0]
    output = model(
        pose_parameters=bone_poses[None],
        phenotype_kwargs=adult.phenotype,
        pose_parameterization="world",
    )
    return module.smpl_axes(output["vertices"][0, adult.source.kept])


def our_vertices(body: BodyModel, adult: SimpleNamespace, turns: torch.Tensor) -> torch.Tensor:
    """The embedded body in the same pose: its joints turned to Anny's rest, then by ``turns``."""
    world = forward_kinematics(turns, adult.joints, JOINT_PARENTS).rotations @ adult.rest_from_t
    zeros = torch.zeros(10, dtype=torch.float64)
    return body.vertices(
        axis_angle_from_matrix(local(world)), zeros, adult.joints[0] - body.J_template[0]
    )


def turned(**axis_angles: tuple[float, float, float]) -> torch.Tensor:
    pose = torch.zeros(24, 3, dtype=torch.float64)
    for joint, axis_angle in axis_angles.items():
        pose[JOINT_NAMES.index(joint)] = torch.tensor(axis_angle)
    return matrix_from_axis_angle(pose)


def expressed_by_both(body: BodyModel, adult: SimpleNamespace, turns: torch.Tensor) -> torch.Tensor:
    """(V,) where one linear blend can equal the other.

    Our rest pose is the T-pose, Anny's the A-pose. A vertex is blended from the same point in
    both where the joints that it hangs on move alike, or are alike turned between the two.
    """
    hangs = (body.lbs_weights > 1e-4).double()
    world = forward_kinematics(turns, adult.joints, JOINT_PARENTS).rotations

    def unlike(rotations: torch.Tensor) -> torch.Tensor:
        apart = (rotations[:, None] - rotations).flatten(2).norm(dim=-1) > 1e-9
        return torch.einsum("vj,jk,vk->v", hangs, apart.double(), hangs) > 0

    return ~unlike(world) | ~unlike(adult.rest_from_t)


@pytest.mark.parametrize(
    ("turns", "share"),
    [
        (turned(), 1.0),
        (turned(pelvis=(0.3, -2.0, 0.4)), 1.0),
        (turned(head=(0.2, 0.9, 0.0)), 0.97),
        (turned(spine1=(0.4, 0.2, 0.0), neck=(0.3, -0.3, 0.1)), 0.9),
        (turned(spine2=(0.3, -0.3, 0.1), spine3=(0.2, 0.2, -0.2), head=(0.0, 0.5, 0.1)), 0.85),
        (turned(left_knee=(1.2, 0.0, 0.0), right_ankle=(0.4, 0.0, 0.0)), 0.9),
        (turned(left_shoulder=(0.3, -0.8, 0.4), right_elbow=(0.2, 0.9, 0.0)), 0.85),
        (turned(left_hip=(-1.0, 0.1, 0.1), right_hand=(0.0, 0.4, 0.3)), 0.85),
    ],
)
def test_skinning_is_annys_where_both_can_express_the_pose(
    body: BodyModel, anny_adult: SimpleNamespace, turns: torch.Tensor, share: float
) -> None:
    same = expressed_by_both(body, anny_adult, turns)
    assert same.double().mean() >= share
    error = (anny_vertices(anny_adult, turns) - our_vertices(body, anny_adult, turns)).norm(dim=-1)
    assert error[same].max() < 1e-3
    assert error.max() < 0.03  # and elsewhere they differ as two skinnings of a crease do


@pytest.mark.parametrize("seed", range(3))
def test_everything_turned_at_once(body: BodyModel, anny_adult: SimpleNamespace, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pose = 0.5 * torch.randn(24, 3, dtype=torch.float64, generator=generator)
    turns = matrix_from_axis_angle(pose)
    same = expressed_by_both(body, anny_adult, turns)
    assert same.double().mean() > 0.5
    error = (anny_vertices(anny_adult, turns) - our_vertices(body, anny_adult, turns)).norm(dim=-1)
    assert error[same].max() < 1e-3


def test_the_average_adults_joints_are_annys_bones(
    body: BodyModel, anny_adult: SimpleNamespace
) -> None:
    frames = forward_kinematics(local(anny_adult.rest_from_t), body.J_template, JOINT_PARENTS)
    shift = anny_adult.joints[0] - frames.positions[0]
    assert (frames.positions + shift - anny_adult.joints).norm(dim=-1).max() < 1e-3


@pytest.mark.parametrize("child", [False, True])
def test_ten_betas_give_people_it_was_not_made_from(
    body: BodyModel, make_body: ModuleType, anny_adult: SimpleNamespace, child: bool
) -> None:
    module = sys.modules["anny_source"]
    torch.manual_seed(123)
    years = module.CHILD_YEARS if child else module.ADULT_YEARS
    vertices, joints = module.t_pose(anny_adult.source, module.sample(anny_adult.source, 20, years))
    basis = body.shapedirs.flatten(0, 1)
    offsets = (vertices - body.v_template).flatten(1)
    betas = torch.linalg.lstsq(basis, offsets.mT).solution.mT
    error = (body.rest_vertices(betas) - vertices).norm(dim=-1)
    assert error.mean() < 0.002 and error.mean(1).max() < 0.006
    assert (body.rest_joints(betas) - joints).norm(dim=-1).mean() < 0.01
    low, high = body.betas_range
    spread = (high - low) * 0.25
    assert ((betas > low - spread) & (betas < high + spread)).double().mean() > 0.97


def make(make_body: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path) -> Path:
    monkeypatch.setattr(sys, "argv", ["make_body", str(out)])
    make_body.main()
    return out


@pytest.mark.slow
def test_the_script_is_deterministic(
    make_body: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (make_body, sys.modules["anny_source"]):  # fewer people: the same code, faster
        monkeypatch.setattr(module, "NUM_ADULTS", 50)
        monkeypatch.setattr(module, "NUM_CHILDREN", 25)
    a, b = (make(make_body, monkeypatch, tmp_path / name) for name in ("a.npz", "b.npz"))
    assert a.read_bytes() == b.read_bytes()
    assert a.with_suffix(".md").read_text() == b.with_suffix(".md").read_text()


@pytest.mark.slow
def test_the_script_makes_the_committed_asset(
    make_body: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = read_body_file(make(make_body, monkeypatch, tmp_path / "body.npz"))
    committed, _ = read_body_file(EMBEDDED_BODY)
    # Another machine's linear algebra may round otherwise; the body is the same.
    for name in ("v_template", "shapedirs", "lbs_weights", "uv"):
        made_values, values = (torch.from_numpy(getattr(t, name)) for t in (made, committed))
        assert (made_values - values).abs().max() < 1e-4, name
    assert (made.faces == committed.faces).all()
    assert made.licence == committed.licence
