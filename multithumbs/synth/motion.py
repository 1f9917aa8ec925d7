"""From a script to SMPL motion: plan the feet, carry the pelvis over them, solve the limbs."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.synth.curves import below, smoothstep, through_keys, wander
from multithumbs.synth.footsteps import FootMotion, GroundPlace, plan_foot, trace_foot
from multithumbs.synth.gestures import aim_of_arm
from multithumbs.synth.limbs import aim_arm, bend_leg, longest_leg, turn
from multithumbs.synth.script import Script
from multithumbs.types.skeleton import JOINT_PARENTS

SEAT_HEIGHT_M = 0.46
SEAT_DEPTH_M = 0.40
"""How far behind the feet the pelvis of a seated person is."""

FLESH_M = 0.10
"""Between the pelvis joint and the seat."""

TURN_SMOOTH_S = 0.22
TOE_OUT_RAD = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class RestShape:
    """What motion needs to know of one person's T-pose (metres, SMPL's axes)."""

    joints: Float64[np.ndarray, "24 3"]
    sole_y: float
    heels: Float64[np.ndarray, "2 3"]
    """Hindmost points of the left and right sole."""

    @classmethod
    def of(cls, body: BodyModel, betas: Float[np.ndarray, " 10"]) -> "RestShape":
        """Of a person with these betas."""
        coefficients = torch.as_tensor(betas, dtype=body.dtype)
        joints = body.rest_joints(coefficients).numpy().astype(np.float64)
        vertices = body.rest_vertices(coefficients).numpy().astype(np.float64)
        sole = vertices[:, 1].min()
        near = vertices[vertices[:, 1] < sole + 0.03]
        heels = [side[side[:, 2].argmin()] for side in (near[near[:, 0] > 0], near[near[:, 0] < 0])]
        return cls(joints=joints, sole_y=float(sole), heels=np.array(heels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """One person's SMPL motion in a world with +y up and the floor at y = 0."""

    pose: Float64[np.ndarray, "T 24 3"]
    transl: Float64[np.ndarray, "T 3"]
    standing: Float64[np.ndarray, "T 2"]
    """1 where the left and right sole lies flat on the floor."""


def animate(script: Script, rest: RestShape, times: Float[np.ndarray, " T"]) -> Motion:
    """Sample the script at uniform ``times`` (seconds)."""
    if len(times) > 1 and np.ptp(np.diff(times)) > 1e-6:
        raise ValueError("expected uniform times")
    step = times[1] - times[0] if len(times) > 1 else 1 / 30
    margin = int(np.ceil(1.0 / step))  # so that filters never see the ends
    padded = times[0] + step * np.arange(-margin, len(times) + margin)
    motion = _Animator(script, rest, padded).run()
    inner = slice(margin, margin + len(times))
    return Motion(
        pose=motion.pose[inner], transl=motion.transl[inner], standing=motion.standing[inner]
    )


class _Animator:
    """The steps of `animate`, over one padded time grid."""

    def __init__(self, script: Script, rest: RestShape, times: Float[np.ndarray, " T"]) -> None:
        self.script, self.rest, self.times = script, rest, times
        self.step_s = float(times[1] - times[0])
        self.rng = np.random.default_rng(script.seed)
        self.gait_offset_s = self.rng.uniform(0, script.step_period_s)
        self.rotations = np.tile(np.eye(3), (len(times), 24, 1, 1))  # global, by joint

    def run(self) -> Motion:
        ground, place = self._ground()
        heading, seated = ground[:, 2], np.clip(ground[:, 3], 0, 1)
        feet = [self._foot(place, side) for side in (1.0, -1.0)]
        ahead = np.stack([np.sin(heading), np.cos(heading)], -1)
        spread = ((feet[1].flat[:, :2] - feet[0].flat[:, :2]) * ahead).sum(-1)  # right before left
        stride = gaussian_filter1d(spread, 0.05 / self.step_s)
        ankles = [self._ankle(foot, side) for side, foot in enumerate(feet)]
        pelvis, chest_yaw = self._trunk(ground, stride, feet, ankles, seated)
        for side, foot in enumerate(feet):
            self._leg(side, foot, ankles[side], pelvis, heading)
        for side in (0, 1):
            self._arm(side, chest_yaw, stride, seated)
        return self._collect(pelvis, feet)

    def _ground(self) -> tuple[Float[np.ndarray, "T 4"], GroundPlace]:
        """x, z, heading and seatedness over time, and the place at any time for the planner."""
        marks = self.script.marks
        keys = [mark.time_s for mark in marks]
        headings = np.unwrap(np.radians([mark.facing_deg for mark in marks]))
        values = np.c_[[m.x for m in marks], [m.z for m in marks], headings]
        seats = np.array([[mark.seated] for mark in marks])
        low = min(keys[0], self.times[0]) - 2
        grid = np.arange(low, max(keys[-1], self.times[-1]) + 3, 1 / 60)
        smooth = through_keys(grid, keys, values, TURN_SMOOTH_S)

        def place(time: float) -> tuple[Float[np.ndarray, " 2"], float]:
            x, z, heading = (np.interp(time, grid, column) for column in smooth.T)
            return np.array([x, z]), float(heading)

        path = np.stack([np.interp(self.times, grid, column) for column in smooth.T], -1)
        return np.c_[path, through_keys(self.times, keys, seats, 0.18)], place

    def _foot(self, place: GroundPlace, side: float) -> FootMotion:
        hip = abs(self.rest.joints[1, 0] - self.rest.joints[2, 0]) / 2
        first, steps = plan_foot(
            place,
            side=side,
            spread_m=1.05 * hip,
            toe_out_rad=TOE_OUT_RAD,
            start_s=self.script.marks[0].time_s - 1.0,
            end_s=self.times[-1] + 1.0,
            period_s=self.script.step_period_s,
            phase_s=self.gait_offset_s + (0 if side > 0 else self.script.step_period_s),
        )
        return trace_foot(first, steps, self.times)

    def _ankle(self, foot: FootMotion, side: int) -> Float[np.ndarray, "T 3"]:
        """Ankle joint: the flat footprint, rolled about the ball or the heel, lifted."""
        joints, floor = self.rest.joints, np.array([0, self.rest.sole_y, 0])
        ankle, ball = joints[7 + side] - floor, joints[10 + side] - floor
        heel = self.rest.heels[side] - floor
        flat = np.c_[foot.flat[:, 0], np.full(len(foot.flat), ankle[1]), foot.flat[:, 1]]
        pitch = turn("x", foot.roll)
        moved = np.zeros_like(flat)
        for pivot, active in ((ball - ankle, foot.roll > 0), (heel - ankle, foot.roll <= 0)):
            moved[active] = (pivot - pitch @ pivot)[active]
        yaw = turn("y", foot.flat[:, 2])
        self.rotations[:, 7 + side] = yaw @ pitch
        # Toes stay on the floor while the heel rises, and straighten early in the swing.
        toes = -np.maximum(foot.roll, 0) * (1 - smoothstep(foot.swing / 0.5))
        self.rotations[:, 10 + side] = yaw @ pitch @ turn("x", toes)
        lifted = flat + np.einsum("tij,tj->ti", yaw, moved)
        lifted[:, 1] += foot.lift
        return lifted

    def _trunk(
        self,
        ground: Float[np.ndarray, "T 4"],
        stride: Float[np.ndarray, " T"],
        feet: list[FootMotion],
        ankles: list[Float[np.ndarray, "T 3"]],
        seated: Float[np.ndarray, " T"],
    ) -> tuple[Float[np.ndarray, "T 3"], Float[np.ndarray, " T"]]:
        """Pelvis position and the chest's heading; sets pelvis, spine, neck and head."""
        times, heading = self.times, ground[:, 2]
        sway = wander(times, self.rng, period_s=5.0, count=5)
        single = np.sin(np.pi * feet[1].swing) - np.sin(np.pi * feet[0].swing)  # > 0: on the left
        single = gaussian_filter1d(single, 0.06 / self.step_s)
        speed = np.linalg.norm(np.gradient(ground[:, :2], self.step_s, axis=0), axis=1)
        rising = 4 * seated * (1 - seated)
        lean = 0.03 + 0.05 * speed + 0.02 * sway[:, 0] + 0.55 * rising + 0.06 * seated
        twist = 0.06 * sway[:, 1]
        yaw = heading + 0.18 * stride
        pelvis = turn("y", yaw) @ turn("x", 0.35 * lean - 0.15 * seated) @ turn("z", 0.05 * single)
        chest_yaw = heading - 0.22 * stride + twist
        chest = (
            turn("y", chest_yaw) @ turn("x", lean) @ turn("z", -0.02 * single + 0.015 * sway[:, 2])
        )
        self.rotations[:, 0] = pelvis
        self._spread_over((3, 6, 9), pelvis, chest)
        left = np.stack([np.cos(heading), np.zeros_like(heading), -np.sin(heading)], -1)
        ahead = np.stack([np.sin(heading), np.zeros_like(heading), np.cos(heading)], -1)
        still = np.exp(-speed / 0.2)
        aside = 0.022 * single + 0.018 * sway[:, 3] * still
        along = 0.010 * sway[:, 4] * still - SEAT_DEPTH_M * seated
        position = np.c_[ground[:, 0], np.zeros(len(times)), ground[:, 1]]
        position += aside[:, None] * left + along[:, None] * ahead
        position[:, 1] = self._pelvis_height(position, pelvis, feet, ankles, seated)
        self._head(position, chest, chest_yaw, sway)
        return position, chest_yaw

    def _pelvis_height(
        self,
        position: Float[np.ndarray, "T 3"],
        pelvis: Float[np.ndarray, "T 3 3"],
        feet: list[FootMotion],
        ankles: list[Float[np.ndarray, "T 3"]],
        seated: Float[np.ndarray, " T"],
    ) -> Float[np.ndarray, " T"]:
        """As high as both legs reach; lower towards a seat."""
        joints = self.rest.joints
        limits = []
        for side, ankle in enumerate(ankles):
            hip = pelvis @ (joints[1 + side] - joints[0])
            reach = longest_leg(
                joints[4 + side] - joints[1 + side], joints[7 + side] - joints[4 + side]
            )
            flat = np.linalg.norm((position + hip - ankle)[:, ::2], axis=1)
            rise = np.sqrt(np.maximum(reach**2 - flat**2, 0.01))
            # A swinging foot follows the leg instead: it must not pull the body down.
            limits.append(
                np.where(feet[side].swing % 1 > 0, np.inf, ankle[:, 1] + rise - hip[:, 1])
            )
        standing = np.minimum(*limits)  # the feet never swing at the same time
        seat = np.full_like(standing, SEAT_HEIGHT_M + FLESH_M)
        return below(
            (1 - seated) * standing + seated * np.minimum(seat, standing), self.step_s, 0.06
        )

    def _head(
        self,
        pelvis: Float[np.ndarray, "T 3"],
        chest: Float[np.ndarray, "T 3 3"],
        chest_yaw: Float[np.ndarray, " T"],
        sway: Float[np.ndarray, "T C"],
    ) -> None:
        """Neck and head turn together towards what the person looks at."""
        rest = self.rest.joints
        eyes = pelvis + np.array([0, rest[15, 1] - rest[0, 1] + 0.08, 0])
        if self.script.looks:
            keys = [look.time_s for look in self.script.looks]
            points = np.array([[look.x, look.y, look.z] for look in self.script.looks])
            held = np.searchsorted(keys, self.times, side="right") - 1
            gaze = gaussian_filter1d(points[np.maximum(held, 0)], 0.16 / self.step_s, axis=0) - eyes
        else:
            gaze = np.stack(
                [np.sin(chest_yaw), np.full_like(chest_yaw, -0.08), np.cos(chest_yaw)], -1
            )
        away = np.arctan2(gaze[:, 0], gaze[:, 2]) - chest_yaw
        away = np.arctan2(np.sin(away), np.cos(away))
        yaw = chest_yaw + 1.1 * np.tanh(away / 1.1) + 0.05 * sway[:, 0]
        pitch = -np.arctan2(gaze[:, 1], np.hypot(gaze[:, 0], gaze[:, 2]))
        pitch = 0.45 * np.tanh(pitch / 0.45) + 0.04 * sway[:, 3]
        self._spread_over((12, 15), chest, turn("y", yaw) @ turn("x", pitch))

    def _spread_over(
        self,
        joints: tuple[int, ...],
        start: Float[np.ndarray, "T 3 3"],
        end: Float[np.ndarray, "T 3 3"],
    ) -> None:
        """Share the rotation from ``start`` to ``end`` equally among a chain of joints."""
        between = Rotation.from_matrix(start.transpose(0, 2, 1) @ end).as_rotvec()
        for index, joint in enumerate(joints, start=1):
            part = Rotation.from_rotvec(between * index / len(joints)).as_matrix()
            self.rotations[:, joint] = start @ part

    def _leg(
        self,
        side: int,
        foot: FootMotion,
        ankle: Float[np.ndarray, "T 3"],
        pelvis: Float[np.ndarray, "T 3"],
        heading: Float[np.ndarray, " T"],
    ) -> None:
        joints = self.rest.joints
        hip = pelvis + self.rotations[:, 0] @ (joints[1 + side] - joints[0])
        middle = (heading + foot.flat[:, 2]) / 2
        lateral = np.stack([np.cos(middle), np.zeros_like(middle), -np.sin(middle)], -1)
        thigh, flexion = bend_leg(
            joints[4 + side] - joints[1 + side],
            joints[7 + side] - joints[4 + side],
            hip,
            ankle,
            lateral,
        )
        self.rotations[:, 1 + side] = thigh
        self.rotations[:, 4 + side] = thigh @ turn("x", flexion)

    def _arm(
        self,
        side: int,
        chest_yaw: Float[np.ndarray, " T"],
        stride: Float[np.ndarray, " T"],
        seated: Float[np.ndarray, " T"],
    ) -> None:
        sign = 1.0 if side == 0 else -1.0
        aim = aim_of_arm(
            self.times,
            side=sign,
            swing=0.75 * sign * stride,
            seated=seated,
            gestures=self.script.gestures,
            rng=self.rng,
        )
        facing = turn("y", chest_yaw)
        chest = self.rotations[:, 9]
        raised = np.arcsin(np.clip(aim.upper[:, 1], -1, 1))
        collar = chest @ turn("z", sign * (0.22 * np.maximum(raised + 0.5, 0) - 0.05))
        shoulder, elbow = aim_arm(
            self.rest.joints[18 + side] - self.rest.joints[16 + side],
            sign,
            np.einsum("tij,tj->ti", facing, aim.upper),
            np.einsum("tij,tj->ti", facing, aim.fore),
        )
        self.rotations[:, 13 + side] = collar
        self.rotations[:, 16 + side] = shoulder
        self.rotations[:, 18 + side] = shoulder @ elbow
        loose = turn("z", -sign * (0.10 + 0.05 * wander(self.times, self.rng, period_s=2.0)[:, 0]))
        self.rotations[:, 20 + side] = shoulder @ elbow @ loose
        self.rotations[:, 22 + side] = self.rotations[:, 20 + side]

    def _collect(self, pelvis: Float[np.ndarray, "T 3"], feet: list[FootMotion]) -> Motion:
        parents = np.maximum(JOINT_PARENTS, 0)
        local = self.rotations[:, parents].transpose(0, 1, 3, 2) @ self.rotations
        local[:, 0] = self.rotations[:, 0]
        pose = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 24, 3)
        flat = [(np.abs(foot.roll) < 1e-3) & (foot.swing % 1 == 0) for foot in feet]
        return Motion(
            pose=pose,
            transl=pelvis - self.rest.joints[0],
            standing=np.stack(flat, -1).astype(np.float64),
        )
