"""Scripted motion: planted feet, legs that reach, arms that point, people on the floor."""

import numpy as np
import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.synth.curves import below, smoothstep, through_keys, wander, window
from multithumbs.synth.footsteps import plan_foot, trace_foot
from multithumbs.synth.limbs import aim_arm, bend_leg, turn, unit
from multithumbs.synth.motion import Motion, RestShape, animate
from multithumbs.synth.script import Gesture, Look, Mark, Script
from multithumbs.types.skeleton import JOINT_NAMES

TIMES = np.arange(0, 3.0, 1 / 30)
JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


@pytest.fixture(scope="module")
def rest(body: BodyModel) -> RestShape:
    return RestShape.of(body, np.zeros(10))


def joints_of(body: BodyModel, motion: Motion) -> np.ndarray:
    betas = torch.zeros(len(motion.pose), 10, dtype=body.dtype)
    return body.posed(torch.tensor(motion.pose), betas, torch.tensor(motion.transl)).joints.numpy()


def walk(seed: int = 0) -> Script:
    return Script(
        marks=(
            Mark(time_s=0.0, x=-1.2, z=0.2, facing_deg=90.0),
            Mark(time_s=2.4, x=1.0, z=0.2, facing_deg=90.0),
        ),
        seed=seed,
    )


def test_a_standing_foot_does_not_slide(body, rest):
    motion = animate(walk(), rest, TIMES)
    joints = joints_of(body, motion)
    for side, name in enumerate(("left_ankle", "right_ankle")):
        flat = motion.standing[:, side] > 0
        both = flat[1:] & flat[:-1]
        step = np.linalg.norm(np.diff(joints[:, JOINT[name]], axis=0), axis=1)[both]
        assert both.sum() > 10
        assert step.max() < 2e-4  # 6 mm/s: what is left of the roll's ends
        assert np.ptp(joints[flat, JOINT[name], 1]) < 2e-4


def test_walking_gets_there_in_steps(body, rest):
    motion = animate(walk(), rest, TIMES)
    joints = joints_of(body, motion)
    assert joints[-1, 0, 0] - joints[0, 0, 0] > 1.7
    assert not (motion.standing.all(1)).all() and motion.standing.any(0).all()
    # Nobody flies: at least one sole is on or just above the floor.
    lowest = joints[:, [JOINT["left_foot"], JOINT["right_foot"]], 1].min(1)
    assert np.ptp(lowest) < 0.02


def test_the_body_stands_on_the_floor_and_not_in_it(body, rest):
    motion = animate(walk(3), rest, TIMES)
    betas = torch.zeros(10, dtype=body.dtype)
    for frame in range(0, len(TIMES), 9):
        pose, transl = torch.tensor(motion.pose[frame]), torch.tensor(motion.transl[frame])
        lowest = body.vertices(pose, betas, transl)[:, 1].min().item()
        assert -0.004 < lowest < 0.012


def test_knees_bend_forward_only(rest):
    motion = animate(walk(), rest, TIMES)
    for knee in ("left_knee", "right_knee"):
        bend = motion.pose[:, JOINT[knee]]
        assert bend[:, 0].min() > 0.02
        np.testing.assert_allclose(bend[:, 1:], 0, atol=1e-9)


def test_motion_is_smooth_and_human(body, rest):
    script = Script(
        marks=walk().marks,
        gestures=(Gesture(kind="wave", side="left", start_s=0.3, end_s=2.6),),
    )
    joints = joints_of(body, animate(script, rest, TIMES))
    acceleration = np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1) * 900
    assert acceleration[:, : JOINT["left_wrist"]].max() < 90
    assert acceleration[:, 0].max() < 12


def test_the_frame_rate_samples_one_world(rest):
    slow = animate(walk(), rest, TIMES)
    fast = animate(walk(), rest, np.arange(0, 3.0, 1 / 60))
    np.testing.assert_allclose(fast.transl[::2], slow.transl, atol=0.012)
    np.testing.assert_allclose(fast.pose[::2], slow.pose, atol=0.12)


def test_equal_scripts_move_equally_and_seeds_differ(rest):
    first, again, other = (animate(walk(seed), rest, TIMES) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.pose, again.pose)
    assert np.abs(first.pose - other.pose).max() > 0.05


def test_facing_and_sitting(body, rest):
    script = Script(
        marks=(
            Mark(time_s=0.0, x=0.5, z=-0.3, facing_deg=120.0),
            Mark(time_s=1.0, x=0.5, z=-0.3, facing_deg=120.0),
            Mark(time_s=2.0, x=0.5, z=-0.3, facing_deg=120.0, seated=1.0),
        )
    )
    joints = joints_of(body, animate(script, rest, TIMES))
    across = joints[:, JOINT["left_hip"]] - joints[:, JOINT["right_hip"]]
    heading = np.degrees(np.arctan2(-across[:, 2], across[:, 0]))
    assert np.abs(heading - 120).max() < 8
    assert joints[10, 0, 1] > 0.8 and joints[-1, 0, 1] == pytest.approx(0.56, abs=0.02)
    knee = joints[-1, JOINT["left_knee"]] - joints[-1, JOINT["left_hip"]]
    assert abs(unit(knee)[1]) < 0.35  # thighs about level


def test_gestures_raise_the_hand_and_looks_turn_the_head(body, rest):
    still = (Mark(time_s=0.0, x=0.0, z=0.0, facing_deg=0.0),)
    wave = Gesture(kind="wave", side="right", start_s=0.5, end_s=3.5)
    aside = Look(time_s=-1.0, x=2.0, y=1.5, z=0.5)
    joints = joints_of(body, animate(Script(marks=still, gestures=(wave,)), rest, TIMES))
    assert joints[3, JOINT["right_wrist"], 1] < joints[3, JOINT["right_elbow"], 1]
    assert joints[60, JOINT["right_wrist"], 1] > joints[60, JOINT["right_shoulder"], 1] + 0.1
    assert joints[60, JOINT["left_wrist"], 1] < joints[60, JOINT["left_elbow"], 1]
    ahead = animate(Script(marks=still), rest, TIMES)
    turned = animate(Script(marks=still, looks=(aside,)), rest, TIMES)
    assert (turned.pose[:, JOINT["head"], 1] - ahead.pose[:, JOINT["head"], 1]).min() > 0.2


def test_uneven_times_are_refused(rest):
    with pytest.raises(ValueError, match="uniform"):
        animate(walk(), rest, np.array([0.0, 0.1, 0.3]))


def test_a_leg_reaches_its_ankle():
    rng = np.random.default_rng(0)
    thigh, shank = np.array([0.01, -0.40, 0.005]), np.array([-0.005, -0.42, -0.02])
    hip = rng.normal(0, 0.1, (50, 3)) + np.array([0, 0.85, 0])
    ankle = hip + unit(rng.normal(0, 1, (50, 3)) * [0.3, 0.2, 0.5] - [0, 1, 0]) * 0.7
    lateral = unit(np.tile([1.0, 0, 0.1], (50, 1)))
    rotation, flexion = bend_leg(thigh, shank, hip, ankle, lateral)
    lower = np.einsum("tij,j->ti", rotation @ turn("x", flexion), shank)
    np.testing.assert_allclose(hip + rotation @ thigh + lower, ankle, atol=1e-9)
    assert (flexion > 0).all()
    np.testing.assert_allclose(np.linalg.det(rotation), 1)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_arm_points_where_it_is_aimed(side):
    rng = np.random.default_rng(1)
    upper, fore = unit(rng.normal(size=(40, 3))), unit(rng.normal(size=(40, 3)))
    bone = unit(np.array([side, -0.02, 0.01]))
    shoulder, elbow = aim_arm(bone, side, upper, fore)
    np.testing.assert_allclose(shoulder @ bone, upper, atol=1e-12)
    np.testing.assert_allclose(shoulder @ elbow @ bone, fore, atol=1e-12)


def test_nobody_steps_without_reason():
    def here(time: float):
        return np.array([0.3, 0.4]), 0.2

    first, steps = plan_foot(
        here,
        side=1.0,
        spread_m=0.1,
        toe_out_rad=0.1,
        start_s=0.0,
        end_s=5.0,
        period_s=0.5,
        phase_s=0.0,
    )
    assert not steps
    foot = trace_foot(first, steps, TIMES)
    assert not foot.swing.any() and not foot.lift.any() and np.ptp(foot.flat, axis=0).max() == 0


def test_curves():
    x = np.linspace(-1, 2, 31)
    step = smoothstep(x)
    assert step[0] == 0 and step[-1] == 1 and (np.diff(step) >= 0).all()
    inside = window(TIMES, 0.5, 2.0, 0.3)
    assert inside[0] == 0 and inside[40] == 1 and inside[-1] == 0
    keys = through_keys(TIMES, [0.5, 1.5], np.array([[0.0, 2.0], [1.0, 2.0]]), 0.1)
    assert keys[0, 0] == pytest.approx(0, abs=1e-6) and keys[-1, 0] == pytest.approx(1)
    np.testing.assert_allclose(keys[:, 1], 2)
    limit = np.random.default_rng(0).uniform(1, 2, 90)
    assert (below(limit, 1 / 30, 0.1) <= limit + 1e-12).all()
    slow = wander(TIMES, np.random.default_rng(0), period_s=2.0, count=3)
    assert slow.shape == (90, 3) and 0.3 < np.abs(slow).max() < 4
