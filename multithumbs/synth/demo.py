"""The demo clip.

Ada walks up to Bo; Cem, out of the first frame, walks in. Three identities, never
more than three in view:

    shot 0  wide, static          Ada and Bo; Cem is beyond the right edge
    shot 1  reverse angle, dolly  Ada, Bo and Cem: Cem entered across the cut
    shot 2  close-up, static      Bo and Cem from the hips up: Ada left across the cut
"""

from multithumbs.synth.appearance import Outfit
from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.room import RoomStyle
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.script import Gesture, Look, Mark, Script

ADA = Outfit(
    skin=(0.055, 0.36, 0.90), hair=(0.09, 0.62, 0.46), shirt=(0.36, 0.52, 0.50),
    accent=(0.14, 0.12, 0.93), pattern="checks", trousers=(0.64, 0.30, 0.16), sleeves=0.42,
    shoes=(0.98, 0.70, 0.50), long_hair=True, seed=1,
)  # fmt: skip
BO = Outfit(
    skin=(0.06, 0.45, 0.80), hair=(0.06, 0.55, 0.14), shirt=(0.60, 0.68, 0.62),
    accent=(0.12, 0.06, 0.95), pattern="stripes", trousers=(0.10, 0.34, 0.52), sleeves=0.40,
    shoes=(0.06, 0.45, 0.22), seed=2,
)  # fmt: skip
CEM = Outfit(
    skin=(0.065, 0.55, 0.52), hair=(0.0, 0.0, 0.07), shirt=(0.99, 0.76, 0.70),
    accent=(0.13, 0.20, 0.95), pattern="print", trousers=(0.61, 0.48, 0.34), sleeves=0.95,
    shoes=(0.0, 0.0, 0.88), beard=True, seed=3,
)  # fmt: skip


def demo_scene() -> Scene:
    """120 frames of 1280 x 720 at 30 frames/s; every lens is the image's diagonal (1469 px)."""
    ada = Script(
        marks=(
            Mark(time_s=-0.6, x=-1.95, z=-0.30, facing_deg=78.0),
            Mark(time_s=1.7, x=-0.62, z=-0.05, facing_deg=78.0),
            Mark(time_s=2.2, x=-0.58, z=-0.05, facing_deg=84.0),
        ),
        gestures=(Gesture(kind="talk", side="right", start_s=1.5, end_s=3.4),),
        looks=(Look(time_s=-2.0, x=0.75, y=1.6, z=0.1), Look(time_s=2.4, x=1.9, y=1.6, z=0.3)),
        seed=4,
    )
    bo = Script(
        marks=(
            Mark(time_s=0.0, x=0.78, z=0.05, facing_deg=-62.0),
            Mark(time_s=1.9, x=0.78, z=0.05, facing_deg=-62.0),
            Mark(time_s=2.8, x=0.80, z=0.02, facing_deg=28.0),
        ),
        gestures=(
            Gesture(kind="talk", side="left", start_s=-0.2, end_s=1.9),
            Gesture(kind="talk", side="right", start_s=0.3, end_s=1.5),
            Gesture(kind="talk", side="left", start_s=2.9, end_s=4.6),
        ),
        looks=(Look(time_s=-2.0, x=-1.2, y=1.6, z=0.4), Look(time_s=1.8, x=1.9, y=1.6, z=0.6)),
        seed=5,
    )
    cem = Script(
        marks=(
            Mark(time_s=0.0, x=2.78, z=0.34, facing_deg=-85.0),
            Mark(time_s=0.9, x=2.78, z=0.34, facing_deg=-85.0),
            Mark(time_s=2.7, x=1.74, z=0.34, facing_deg=-80.0),
            Mark(time_s=3.2, x=1.72, z=0.34, facing_deg=-52.0),
        ),
        gestures=(Gesture(kind="wave", side="right", start_s=2.7, end_s=4.6),),
        looks=(Look(time_s=-2.0, x=0.6, y=1.6, z=0.1),),
        seed=6,
    )
    wide = CameraScript(
        keys=(CameraKey(time_s=0.0, eye=(0.35, 1.50, 4.75), target=(-0.30, 1.0, 0.0)),)
    )
    reverse = CameraScript(
        keys=(
            CameraKey(time_s=1.5, eye=(0.10, 1.55, -4.65), target=(0.85, 0.98, 0.2)),
            CameraKey(time_s=2.8, eye=(1.00, 1.50, -4.50), target=(0.75, 0.98, 0.2)),
        ),
    )
    close = CameraScript(
        keys=(CameraKey(time_s=0.0, eye=(1.05, 1.50, 3.05), target=(1.28, 1.28, 0.0)),)
    )
    return Scene(
        name="demo",
        actors=(
            Actor(name="Ada", script=ada, outfit=ADA, betas=(-0.6, 0.4, *(0.0,) * 8)),
            Actor(name="Bo", script=bo, outfit=BO, betas=(0.5, -0.3, *(0.0,) * 8)),
            Actor(name="Cem", script=cem, outfit=CEM, betas=(0.8, 0.6, *(0.0,) * 8)),
        ),
        shots=(
            ShotScript(start=0, end=45, camera=wide),
            ShotScript(start=45, end=84, camera=reverse),
            ShotScript(start=84, end=120, camera=close),
        ),
        rooms=(RoomStyle(seed=3),),
    )
