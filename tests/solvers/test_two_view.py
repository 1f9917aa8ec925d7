"""The relative camera from people: derivatives, exact data, noise, strangers."""

import numpy as np
import pytest
import torch

from multithumbs.backends.boundaries import people as backend
from multithumbs.backends.boundaries.acceptance import rejection
from multithumbs.backends.boundaries.side import gather_side
from multithumbs.config.boundaries import PeopleBoundariesConfig
from multithumbs.geometry import projection, rigid, rotations
from multithumbs.solvers import two_view
from multithumbs.solvers.two_view_background import (
    BackgroundMatches,
    background_errors,
    background_model,
    fit_turn,
)
from multithumbs.solvers.two_view_search import KnownTurns
from multithumbs.solvers.two_view_visibility import misplaced_people, missing_people
from multithumbs.synth.boundary_oracle import CutSetup, OracleNoise, make_cut

CONFIG = PeopleBoundariesConfig()
EXACT = OracleNoise(
    keypoint_of_height=0.0,
    log_size=0.0,
    log_fit=0.0,
    orientation_rad=0.0,
    pose_rad=0.0,
    walk_m=0.0,
)


def views(body, cut):
    sides = [
        gather_side(
            frame, side.detections, side.keypoints, side.bodies, side.tracks, side.masks,
            window_frames=0, min_confidence=0.3,
        )
        for frame, side in enumerate(cut.sides)
    ]  # fmt: skip
    return sides, [backend.view_of(side, backend.body_keypoints(side, body)) for side in sides]


def relate(body, cut):
    sides, (a, b) = views(body, cut)
    found = backend.relate(a, b, CONFIG)
    if found is None:
        return None, "no pair agrees"
    hw = (sides[0].hw, sides[1].hw)
    missing = missing_people(
        a, b, found.b_from_a, found.pairs, hw, inside_share=0.8, covered_share=0.3
    )
    return found, rejection(found, missing, CONFIG.acceptance)


def rotation_error_deg(found, cut) -> float:
    true = torch.tensor(cut.after_from_before[:3, :3])
    return float(torch.rad2deg(rotations.angle_between(found.b_from_a[:3, :3], true)))


def true_pairs(found, cut) -> int:
    rows = found.pairs.numpy()
    return int((cut.sides[0].who[rows[:, 0]] == cut.sides[1].who[rows[:, 1]]).sum())


@pytest.mark.parametrize("with_prior", [False, True])
def test_gradient_is_half_of_the_cost_by_finite_differences(body, with_prior):
    cut = make_cut(body, CutSetup(people=2, view_rad=1.0), seed=4)
    _, (a, b) = views(body, cut)
    noise = backend.noise_model(CONFIG.noise)
    order = np.argsort(cut.sides[0].who), np.argsort(cut.sides[1].who)
    pairs = torch.tensor(np.stack(order, axis=1))[None]
    seen = two_view.gather_pairs(a, b, pairs, noise)
    off = rotations.matrix_from_axis_angle(torch.tensor([0.02, -0.03, 0.01], dtype=torch.float64))
    guess = torch.tensor(cut.after_from_before)
    guess[:3, :3] = off @ guess[:3, :3]
    known = torch.tensor(cut.after_from_before)
    prior = two_view.CameraPrior(known, 0.02, 0.05) if with_prior else None
    state = two_view._start(seen, guess[None], noise)
    state = two_view._solve_points(state, seen, noise, iterations=100)
    gradient = two_view._linearise(state, seen, noise, None, prior).gradient[0]

    def cost(step: torch.Tensor) -> float:
        moved = two_view._retract(state, step[None], seen, noise)
        return float(two_view._evaluate(moved, seen, noise, None, prior))

    for index in range(len(gradient)):
        step = torch.zeros_like(gradient)
        step[index] = 1e-5
        slope = (cost(step) - cost(-step)) / 2e-5
        assert slope == pytest.approx(2 * float(gradient[index]), rel=2e-3, abs=2e-2)


def quarter_turns(cut, off_rad: float = 0.0) -> KnownTurns:
    """What a room says of a cut: the true rotation and its quarter turns about the vertical."""
    true = torch.tensor(cut.after_from_before[:3, :3])
    quarters = torch.tensor([[0, k * np.pi / 2 + off_rad, 0] for k in (2, 0, 1, 3)])
    return KnownTurns(true @ rotations.matrix_from_axis_angle(quarters.to(true)), np.radians(1))


@pytest.mark.parametrize("people", [1, 3])
def test_of_a_rooms_four_rotations_people_choose_one(body, people):
    cut = make_cut(body, CutSetup(people=people, view_rad=1.3), seed=2)
    _, (a, b) = views(body, cut)
    found = backend.relate(a, b, CONFIG, turns=quarter_turns(cut, np.radians(0.5)))
    assert rotation_error_deg(found, cut) < 2.0
    assert true_pairs(found, cut) == len(found.pairs) == people


def test_with_a_room_who_is_read_from_the_wrong_side_is_still_recognised(body):
    cut = make_cut(body, CutSetup(people=3, view_rad=1.0), seed=6)
    _, (a, b) = views(body, cut)
    wrong = int(np.flatnonzero(cut.sides[1].who == 1)[0])
    about = b.centre_cam[wrong]
    turn = rotations.matrix_from_axis_angle(torch.tensor([0.0, 2.0, 0.0]).to(about))
    bodies = b.body_cam.clone()
    bodies[wrong] = (bodies[wrong] - about) @ turn.T + about
    misread = b._replace(body_cam=bodies)
    free = backend.relate(a, misread, CONFIG)
    held = backend.relate(a, misread, CONFIG, turns=quarter_turns(cut))
    assert true_pairs(free, cut) < 3
    assert true_pairs(held, cut) == 3
    assert rotation_error_deg(held, cut) < 2.0


def test_a_prior_of_rotation_alone_says_nothing_of_places():
    turns = KnownTurns(torch.eye(3, dtype=torch.float64)[None], 0.1)
    far = rigid.compose(torch.eye(3, dtype=torch.float64), torch.tensor([9.0, -4.0, 2.0]).double())
    off = rotations.matrix_from_axis_angle(torch.tensor([0.0, 0.2, 0.0]).double())
    moved = torch.stack([far, rigid.compose(off, far[:3, 3])])
    residual = two_view.prior_residual(moved, turns.prior(moved))
    assert residual[0].abs().max() == 0
    torch.testing.assert_close(residual[1], torch.tensor([0, 2.0, 0, 0, 0, 0]).double())


@pytest.mark.parametrize("people", [1, 2, 4])
def test_exact_observations_give_the_exact_camera(body, people):
    cut = make_cut(body, CutSetup(people=people, view_rad=2.0, noise=EXACT), seed=1)
    found, reason = relate(body, cut)
    assert reason == ""
    assert true_pairs(found, cut) == people
    assert rotation_error_deg(found, cut) < 0.01
    true_centre = rigid.inverse(torch.tensor(cut.after_from_before))[:3, 3]
    assert (rigid.inverse(found.b_from_a)[:3, 3] - true_centre).norm() < 1e-3


@pytest.mark.parametrize(("people", "limit_deg"), [(2, 6.0), (3, 4.0), (5, 3.0)])
def test_noisy_people_give_a_good_camera_and_the_right_pairs(body, people, limit_deg):
    errors = []
    for seed in range(5):
        view = 0.5 + 2.6 * seed / 4
        cut = make_cut(body, CutSetup(people=people, view_rad=view), seed)
        found, reason = relate(body, cut)
        assert reason == "", seed
        assert true_pairs(found, cut) == len(found.pairs) >= people - 1
        errors.append(rotation_error_deg(found, cut))
    assert np.median(errors) < limit_deg


def test_people_of_one_side_only_stay_unmatched(body):
    setup = CutSetup(people=4, before=(0, 1, 2), after=(1, 2, 3), view_rad=1.2)
    cut = make_cut(body, setup, seed=3)
    found, _ = relate(body, cut)
    assert true_pairs(found, cut) == len(found.pairs) == 2
    assert rotation_error_deg(found, cut) < 10


@pytest.mark.parametrize("people", [1, 3])
def test_strangers_are_refused(body, people):
    refused = 0
    for seed in range(8):
        cut = make_cut(body, CutSetup(people=people, unrelated=True), seed)
        refused += relate(body, cut)[1] != ""
    assert refused >= 7


def test_one_person_who_moved_between_the_views_is_refused(body):
    cut = make_cut(body, CutSetup(people=1, view_rad=1.0), seed=2)
    _, (a, b) = views(body, cut)
    # Arms up on one side only: the keypoints of both images belong to no common skeleton.
    moved = b.uv.clone()
    moved[:, 7:11, 1] -= 0.5 * b.height_px[:, None]
    found = backend.relate(a, b._replace(uv=moved), CONFIG)
    assert found is None or rejection(found, 0, CONFIG.acceptance) != ""


def test_someone_in_full_view_who_is_not_seen_counts_as_missing(body):
    cut = make_cut(body, CutSetup(people=3, view_rad=0.8, room_m=1.5), seed=5)
    _, (a, b) = views(body, cut)
    truth = torch.tensor(cut.after_from_before)
    hw = ((720, 1280), (720, 1280))
    limits = {"inside_share": 0.8, "covered_share": 0.3}
    rows = torch.tensor(np.stack([np.argsort(side.who) for side in cut.sides], axis=1))
    assert missing_people(a, b, truth, rows, hw, **limits) == 0
    alone = two_view.ViewPeople(b.K, *(field[rows[:1, 1]] for field in b[1:]))
    pair = torch.tensor([[int(rows[0, 0]), 0]])
    assert missing_people(a, alone, truth, pair, hw, **limits) >= 1


def test_someone_seen_elsewhere_than_the_camera_has_them_is_misplaced(body):
    cut = make_cut(body, CutSetup(people=3, view_rad=0.8, room_m=1.5), seed=5)
    _, (a, b) = views(body, cut)
    truth = torch.tensor(cut.after_from_before)
    who = [torch.tensor(side.who) for side in cut.sides]
    unlike = torch.where(who[0][:, None] == who[1], 0.5, 12.0).double()
    pair = torch.tensor([[int((side == 0).nonzero()) for side in who]])
    limits = {"alike_cost": 3.0, "max_offset_of_height": 0.7}
    assert misplaced_people(a, b, truth, pair, unlike, **limits) == 0
    everyone = torch.stack([side.argsort() for side in who], dim=1)
    turned = truth.clone()  # about the one who is matched, as a misread facing turns the camera
    at = (truth[:3, :3] @ a.centre_cam[pair[0, 0]]) + truth[:3, 3]
    quarter = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]).double()
    turned[:3, :3], turned[:3, 3] = quarter @ truth[:3, :3], quarter @ (truth[:3, 3] - at) + at
    assert misplaced_people(a, b, turned, pair, unlike, **limits) == 2
    assert misplaced_people(a, b, turned, pair, unlike + 10, **limits) == 0
    assert misplaced_people(a, b, turned, everyone, unlike, **limits) == 0


def scatter(b_from_a, count=80, seed=0):
    rng = np.random.default_rng(seed)
    K = projection.intrinsics(torch.tensor(1000.0, dtype=torch.float64), (720, 1280))
    points = torch.tensor(rng.uniform([-3, -2, 5], [3, 2, 15], (count, 3)))
    uv_a = projection.project(points, K)
    uv_b = projection.project(rigid.apply(b_from_a, points), K)
    return BackgroundMatches(torch.stack([K, K]), torch.stack([uv_a, uv_b]), 1.0, 4.0, 1.0, 2.0)


def transform(rotation, translation):
    axis = torch.tensor(rotation, dtype=torch.float64)
    shift = torch.tensor(translation, dtype=torch.float64)
    return rigid.compose(rotations.matrix_from_axis_angle(axis), shift)


@pytest.mark.parametrize("translation", [[1.0, 0.2, 0.3], [0.0, 0.0, 0.0]])
def test_background_agrees_with_the_true_camera_and_with_no_other(translation):
    truth = transform([0.1, 0.3, 0.0], translation)
    matches = scatter(truth)
    assert background_errors(truth[None], matches).max() < 1e-6
    turned = transform([0.0, 0.02, 0.02], [0, 0, 0]) @ truth
    assert background_errors(turned[None], matches).median() > 1


def test_background_gradient_by_finite_differences():
    truth = transform([0.1, 0.3, 0.0], [1.0, 0.2, 0.3])
    matches = scatter(truth)
    start = two_view.move_camera(truth[None], torch.full((1, 6), 2e-3, dtype=torch.float64))
    gradient = background_model(start, matches).gradient[0]
    for index in range(6):
        step = torch.zeros(1, 6, dtype=torch.float64)
        step[0, index] = 1e-6
        up, down = (
            float(background_model(two_view.move_camera(start, sign * step), matches).cost)
            for sign in (1, -1)
        )
        assert (up - down) / 2e-6 == pytest.approx(2 * float(gradient[index]), rel=2e-2, abs=1.0)


def test_a_camera_that_only_turned_is_found_despite_wrong_matches():
    truth = transform([0.1, 0.3, -0.05], [0.0, 0.0, 0.0])
    matches = scatter(truth)
    wrong = matches.uv.clone()
    wrong[1, :15] = wrong[1, torch.arange(15, 30)]
    found = fit_turn(matches._replace(uv=wrong))
    assert rotations.angle_between(found[:3, :3], truth[:3, :3]) < 1e-3
