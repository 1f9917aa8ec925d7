"""Scenes of 24 frames, for tests and quick looks."""

from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.demo import ADA, BO
from multithumbs.synth.room import RoomStyle
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.script import Gesture, Mark, Script


def tiny_scene(*, seed: int = 0, hw: tuple[int, int] = (360, 640)) -> Scene:
    """Two people, two shots, 24 frames: the smallest edited video there is.

    The cut goes to a second camera 50 degrees around the pair; nobody enters or leaves.
    """
    left = Script(
        marks=(
            Mark(time_s=0.0, x=-0.75, z=0.0, facing_deg=40.0),
            Mark(time_s=1.0, x=-0.55, z=0.1, facing_deg=40.0),
        ),
        gestures=(Gesture(kind="talk", side="right", start_s=-0.5, end_s=1.5),),
        seed=seed,
    )
    right = Script(
        marks=(Mark(time_s=0.0, x=0.65, z=0.0, facing_deg=-35.0),),
        gestures=(Gesture(kind="wave", side="left", start_s=-0.5, end_s=1.5),),
        seed=seed + 1,
    )
    front = CameraKey(time_s=0.0, eye=(0.2, 1.45, 4.4), target=(0.0, 0.95, 0.0))
    side = CameraKey(time_s=0.0, eye=(3.3, 1.5, 3.6), target=(0.05, 0.92, 0.0))
    return Scene(
        name="tiny",
        actors=(
            Actor(name="Ada", script=left, outfit=ADA, betas=(-0.6, 0.4, *(0.0,) * 8)),
            Actor(name="Bo", script=right, outfit=BO, betas=(0.5, -0.3, *(0.0,) * 8)),
        ),
        shots=(
            ShotScript(start=0, end=12, camera=CameraScript(keys=(front,))),
            ShotScript(start=12, end=24, camera=CameraScript(keys=(side,))),
        ),
        rooms=(RoomStyle(seed=seed + 3, texture_scale=0.5),),
        hw=hw,
        texture_size=512,
    )


def two_places_scene(*, seed: int = 0, hw: tuple[int, int] = (360, 640)) -> Scene:
    """Two look-alikes in two rooms, with a zoom: a cut that must not be linked by place.

    Shot 0 shows Bo in one room (zooming in); shot 1 shows his double Dov in another.
    """
    walk = Script(
        marks=(
            Mark(time_s=0.0, x=-0.4, z=0.0, facing_deg=30.0),
            Mark(time_s=1.2, x=0.1, z=0.3, facing_deg=30.0),
        ),
        seed=seed,
    )
    sit = Script(
        marks=(Mark(time_s=0.0, x=0.3, z=0.35, facing_deg=-15.0, seated=1.0),),
        gestures=(Gesture(kind="chin", side="right", start_s=-1.0, end_s=3.0),),
        seed=seed + 1,
    )
    diagonal = float((hw[0] ** 2 + hw[1] ** 2) ** 0.5)
    zoom = CameraScript(
        keys=(
            CameraKey(time_s=0.0, eye=(0.0, 1.4, 4.6), target=(0.0, 1.0, 0.0), focal_px=diagonal),
            CameraKey(
                time_s=0.5, eye=(0.0, 1.4, 4.6), target=(0.0, 1.0, 0.0), focal_px=1.25 * diagonal
            ),
        )
    )
    still = CameraScript(
        keys=(CameraKey(time_s=0.0, eye=(-1.6, 1.3, 3.6), target=(0.25, 0.8, 0.0)),), handheld=1.0
    )
    return Scene(
        name="two_places",
        actors=(
            Actor(name="Bo", script=walk, outfit=BO),
            Actor(name="Dov", script=sit, outfit=BO),
        ),
        shots=(
            ShotScript(start=0, end=12, camera=zoom, room=0, cast=(0,)),
            ShotScript(start=12, end=24, camera=still, room=1, cast=(1,)),
        ),
        rooms=(
            RoomStyle(seed=seed + 4, texture_scale=0.5),
            RoomStyle(seed=seed + 5, texture_scale=0.5, seats=((0.41, -0.05, 0.46),)),
        ),
        hw=hw,
        texture_size=512,
    )
