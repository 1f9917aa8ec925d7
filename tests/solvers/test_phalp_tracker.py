"""PHALP's tracker, frame by frame, against upstream's on the same records."""

import numpy as np

from multithumbs.solvers.phalp_cost import EQ_019, coded_distance
from multithumbs.solvers.phalp_tracker import PhalpTracker, Settings, Sights

from ..golden.filler import fill
from ..golden.fixture import load_fixture

PUBLISHED = Settings(
    distance=EQ_019, max_cost=100.0, history=7, max_age=50, confirm_hits=5, blend=0.1
)
PEOPLE = 3


def named(name: str, shape: tuple[int, ...], kind: str = "normal") -> np.ndarray:
    return fill(f"input/phalp_track/{name}", shape, kind)  # type: ignore[arg-type]


def records(fixture) -> list[tuple[list[int], Sights]]:
    """Two who pass each other, one of them hidden for a while, and one who flickers in."""
    config = fixture.sidecar["configuration"]
    frames, seen = config["frames"], np.array(config["seen"], dtype=bool)
    time = np.arange(frames)
    start = np.array([[0.25, 0.5], [0.75, 0.52], [0.5, 0.3]])
    speed = np.array([[0.011, 0.0], [-0.011, 0.0005], [0.002, 0.002]])
    xy = start[:, None] + speed[:, None] * time[None, :, None]
    xy = xy + 0.003 * named("xy", (PEOPLE, frames, 2))
    depth = np.array([38.0, 44.0, 52.0])[:, None] * np.exp(0.004 * time)
    depth = depth * np.exp(0.02 * named("depth", (PEOPLE, frames)))
    drift = 0.004 * time[None, :, None] * named("drift", (PEOPLE, frames, 229)) * 0.2
    pose = 0.08 * named("pose", (PEOPLE, 1, 229)) + drift
    pose = pose + 0.01 * named("posenoise", (PEOPLE, frames, 229))
    colour = 1.2 * named("colour", (PEOPLE, 3, 4, 4))
    confidence = 0.85 + 0.15 * named("conf", (PEOPLE, frames), "uniform")

    def texture(k: int, f: int) -> np.ndarray:
        rgb = np.kron(colour[k], np.ones((64, 64))) * (1 + 0.1 * named(f"light/{k}/{f}", (3, 1, 1)))
        cells = named(f"mask/{k}/{f}", (8, 8), "uniform") > 0.35
        shown = np.kron(cells, np.ones((32, 32)))[None] > 0
        return np.concatenate([np.where(shown, rgb, 0.0), np.where(shown, 1.0, -1.0)])

    found, row = [], 0
    for f in range(frames):
        who = [k for k in config["order"] if seen[k, f]]
        camera = np.c_[(xy[who, f] - 0.5) * depth[who, f, None] / 5000 * 256, depth[who, f]]
        sights = Sights(
            frame=f,
            row=np.arange(row, row + len(who)),
            pose=pose[who, f],
            xy=xy[who, f],
            camera=camera,
            confidence=confidence[who, f],
            texture=np.array([texture(k, f) for k in who]).reshape(-1, 4, 256, 256),
        )
        found.append((who, sights))
        row += len(who)
    return found


def encode(uv: np.ndarray) -> np.ndarray:
    side = uv.shape[-1] // 8
    return 40 * uv.reshape(len(uv), 4, 8, side, 8, side).mean((3, 5)).reshape(len(uv), -1)


def test_tracks_are_those_of_upstream() -> None:
    fixture = load_fixture("phalp_track")
    tracker = PhalpTracker(PUBLISHED, lambda a, b: coded_distance(a, b, encode))
    people, frames = [], []
    for who, sights in records(fixture):
        tracker.step(sights)
        people += who
        frames += [sights.frame] * len(who)
    upstream = fixture.arrays["ids"][people, frames]
    # Every track, then those that were confirmed: upstream reports no others.
    every = tracker.labels(len(people), confirm_hits=1)
    np.testing.assert_array_equal(every, upstream - 1)
    confirmed = tracker.labels(len(people), confirm_hits=5)
    long = np.isin(upstream, [track for track in (1, 2, 3, 4) if (upstream == track).sum() >= 5])
    assert not long.all()
    assert (confirmed[~long] == -1).all()
    assert sorted(set(confirmed[long].tolist())) == [0, 1, 2]


def sights(frame: int, xs: list[float], row: int) -> Sights:
    count = len(xs)
    return Sights(
        frame=frame,
        row=np.arange(row, row + count),
        pose=np.zeros((count, 229)),
        xy=np.c_[np.array(xs).reshape(-1), np.full(count, 0.5)],
        camera=np.c_[np.zeros((count, 2)), np.full(count, 40.0)],
        confidence=np.ones(count),
        texture=np.zeros((count, 4, 0, 0), np.float32),
    )


def no_appearance(tracks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.zeros((len(tracks), len(seen)))


def run(visible: list[bool], max_age: int = 50) -> list[int]:
    settings = Settings(
        distance=EQ_019, max_cost=100.0, history=7, max_age=max_age, confirm_hits=5, blend=0.1
    )
    tracker, row = PhalpTracker(settings, no_appearance), 0
    for frame, here in enumerate(visible):
        tracker.step(sights(frame, [0.4 + 0.001 * (frame % 3)] if here else [], row))
        row += here
    return tracker.labels(row, settings.confirm_hits).tolist()


def test_a_confirmed_track_survives_fifty_frames_and_no_more() -> None:
    assert run([True] * 8 + [False] * 50 + [True] * 8) == [0] * 16
    assert run([True] * 8 + [False] * 51 + [True] * 8) == [0] * 8 + [1] * 8


def test_a_tentative_track_dies_at_its_first_miss_and_is_not_reported() -> None:
    assert run([True] * 4 + [False] + [True] * 5) == [-1] * 4 + [0] * 5


def test_the_next_pose_decides_between_two_at_one_place() -> None:
    def turned(history: np.ndarray, frame: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
        return 2 * history[:, -1] - history[:, -2]

    labels = {}
    for name, predict in (("last", None), ("predicted", turned)):
        tracker = PhalpTracker(PUBLISHED, no_appearance, predict)
        for frame in range(12):
            pair = sights(frame, [0.5, 0.5], 2 * frame)
            # Two poses that pass through one another: the last one tells nothing halfway.
            pair.pose[:, 0] = 0.3 * (frame - 5.6) * np.array([1, -1])
            tracker.step(pair)
        labels[name] = tracker.labels(24, 5).reshape(-1, 2)
    assert (labels["predicted"] == [0, 1]).all()
    assert not (labels["last"] == [0, 1]).all()
