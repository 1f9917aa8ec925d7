"""Clothes, skin, hair and faces, painted on a body's UV map from positions in its T-pose.

A texel is painted by where it lies on the T-pose (beside its joints and parts), so that hems
are straight and any body with a UV layout can be dressed. Clothes and hair also stand off the
skin a little (`dressed_offsets`); that changes the picture, never the truth's parameters.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, UInt8
from scipy.ndimage import distance_transform_edt

from multithumbs.body import BodyModel
from multithumbs.body.storage import PART_NAMES
from multithumbs.render.overlay import vertex_normals
from multithumbs.render.texture import Texels
from multithumbs.synth.patterns import bytes_of, rgb, value_noise

Pattern = Literal["plain", "stripes", "checks", "print", "band"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """What one person looks like. Colours are (hue, saturation, value) in [0, 1]."""

    skin: tuple[float, float, float] = (0.06, 0.42, 0.82)
    hair: tuple[float, float, float] = (0.07, 0.55, 0.18)
    shirt: tuple[float, float, float] = (0.6, 0.6, 0.6)
    accent: tuple[float, float, float] = (0.1, 0.1, 0.95)
    pattern: Pattern = "plain"
    sleeves: float = 0.40
    """Share of the way from shoulder to wrist that the sleeves cover."""
    trousers: tuple[float, float, float] = (0.62, 0.45, 0.32)
    legs: float = 0.97
    """Share of the way from hip to ankle that the trousers cover."""
    shoes: tuple[float, float, float] = (0.05, 0.4, 0.25)
    long_hair: bool = False
    beard: bool = False
    seed: int = 0
    """Of fabric noise and prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Regions:
    """Where points of the T-pose are, in words; all arrays are per point."""

    where: Float64[np.ndarray, "N 3"]
    part: np.ndarray
    down_arm: np.ndarray
    """0 at the shoulder joint, 1 at the wrist."""
    down_leg: np.ndarray
    """0 at the hip joint, 1 at the ankle."""
    joints: Float64[np.ndarray, "24 3"]
    keypoints: Float64[np.ndarray, "23 3"]
    sole_y: float

    def is_part(self, *names: str) -> np.ndarray:
        return np.isin(self.part, [PART_NAMES.index(name) for name in names])


def _regions(body: BodyModel, where: Float[np.ndarray, "N 3"], part: np.ndarray) -> _Regions:
    joints = body.J_template.numpy().astype(np.float64)
    vertices = body.v_template.numpy().astype(np.float64)
    keypoints = body.keypoint_vertices.numpy() @ vertices + body.keypoint_joints.numpy() @ joints
    shoulder, wrist = joints[16, 0], joints[20, 0]
    hip, ankle = joints[1, 1], joints[7, 1]
    return _Regions(
        where=where,
        part=part,
        down_arm=(np.abs(where[:, 0]) - shoulder) / (wrist - shoulder),
        down_leg=(hip - where[:, 1]) / (hip - ankle),
        joints=joints,
        keypoints=keypoints,
        sole_y=float(vertices[:, 1].min()),
    )


def _clothes(regions: _Regions, outfit: Outfit) -> dict[str, np.ndarray]:
    """Which points each garment covers; later ones lie over earlier ones."""
    x, y, z = regions.where.T
    arm = regions.is_part("upper_arm", "forearm", "hand") | (regions.down_arm > 0.05)
    waist = regions.joints[0, 1] + 0.045
    neck = regions.joints[12]
    # The neckline is a round opening, deeper in front.
    opening = (np.hypot(x / 0.082, (z - neck[2] - 0.012) / 0.088) < 1) & (y > neck[1] - 0.085)
    opening |= y > neck[1] + 0.005
    head = regions.is_part("face", "hair", "eye")
    shirt = ~head & (y > waist - 0.05) & ~opening & ~arm
    shirt |= arm & (regions.down_arm < outfit.sleeves) & ~head
    trousers = ~arm & (y < waist) & (regions.down_leg < outfit.legs)
    shoes = ~arm & (y < regions.joints[7, 1] + 0.02)
    hair = head & _under_hair(regions, outfit) & ~regions.is_part("eye")
    return {"trousers": trousers, "shirt": shirt, "shoes": shoes, "hair": hair}


def _under_hair(regions: _Regions, outfit: Outfit) -> np.ndarray:
    """The scalp: above a line from the forehead, over the ears, to the nape."""
    x, y, z = regions.where.T
    eyes, ears = regions.keypoints[1:3].mean(0), regions.keypoints[3:5].mean(0)
    forward = (z - ears[2]) / (eyes[2] - ears[2])  # 0 at the ears, 1 at the eyes
    nape = -0.055 if not outfit.long_hair else -0.12
    line = eyes[1] + np.interp(
        forward, [-1.2, -0.25, 0.0, 0.35, 0.6, 1.0], [nape, nape, 0.0, 0.015, 0.062, 0.07]
    )
    wave = 0.004 * np.sin(x * 160) + 0.003 * np.sin(z * 230 + 1)
    ear = (np.abs(np.abs(x) - np.abs(regions.keypoints[3, 0])) < 0.016) & (np.abs(forward) < 0.32)
    return (y > line + wave) & ~(ear & (y < eyes[1] + 0.025))


def paint(body: BodyModel, outfit: Outfit, texels: Texels) -> UInt8[np.ndarray, "T T 3"]:
    """The texture of one person on ``texels`` of the body's UV map.

    Raises ValueError for a body without a UV layout and parts.
    """
    if body.face_uv is None or body.vertex_part is None:
        raise ValueError(f"body '{body.name}' has no UV layout or parts to paint on")
    faces = body.faces.numpy()
    where, _ = texels.points(body.v_template.numpy().astype(np.float64), faces)
    nearest = faces[texels.face, texels.weights.argmax(1)]
    regions = _regions(body, where, body.vertex_part.numpy()[nearest])
    rng = np.random.default_rng([outfit.seed, 5])
    colour = _skin(regions, outfit, rng)
    for name, covered in _clothes(regions, outfit).items():
        layer = _garment(name, regions, outfit, rng)
        colour[covered] = layer[covered]
    image = np.zeros((texels.size, texels.size, 3))
    image[texels.row, texels.column] = colour
    return _bleed(bytes_of(image), texels)


def _bleed(image: UInt8[np.ndarray, "T T 3"], texels: Texels) -> UInt8[np.ndarray, "T T 3"]:
    """Continue the charts' colours outward, so that filtering at seams finds no black."""
    empty = np.ones(image.shape[:2], bool)
    empty[texels.row, texels.column] = False
    nearest = np.zeros((2, *empty.shape), np.int32)
    distance_transform_edt(empty, return_distances=False, return_indices=True, indices=nearest)
    return image[nearest[0], nearest[1]]


def _skin(regions: _Regions, outfit: Outfit, rng: np.random.Generator) -> np.ndarray:
    where, key = regions.where, regions.keypoints
    tone = rgb(*outfit.skin)
    mottle = value_noise(where, 0.05, rng)
    colour = tone * (1 + 0.05 * mottle[:, None] + rng.normal(0, 0.012, (len(where), 1)))
    head = regions.is_part("face", "hair", "eye")
    front = (head | regions.is_part("neck")) & (where[:, 2] > key[3:5, 2].mean() + 0.01)
    eyes, nose = key[1:3], key[0]
    span = np.abs(eyes[0, 0] - eyes[1, 0])  # between the eyes; faces scale by it
    x, y, _ = ((where - eyes.mean(0)) / span).T
    nose_y = (nose[1] - eyes[0, 1]) / span

    def tint(weight: np.ndarray, target: np.ndarray) -> None:
        strength = (np.clip(weight, 0, 1) * front)[:, None]
        colour[:] = colour * (1 - strength) + target * strength

    def spot(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.exp(-(((np.abs(x) - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)

    tint(0.30 * spot(0.72, nose_y, 0.30, 0.25), tone * [1.08, 0.72, 0.68])  # cheeks
    tint(0.45 * spot(0.5, 0.02, 0.42, 0.20), tone * [0.66, 0.55, 0.52])  # sockets
    tint(0.75 * spot(0.13, nose_y - 0.30, 0.07, 0.05), tone * 0.35)  # nostrils
    tint(0.30 * spot(0.0, nose_y - 0.42, 0.12, 0.10), tone * 0.7)  # under the nose
    arch = 0.40 - 0.10 * (np.abs(x) - 0.5) ** 2 / 0.1
    brow = (np.abs(y - arch) < 0.055) & (np.abs(np.abs(x) - 0.52) < 0.33)
    tint(0.85 * brow, rgb(*outfit.hair) * 0.8)
    mouth_y = nose_y - 0.67
    lips = 1.1 * np.exp(-((x / 0.42) ** 4) - (((y - mouth_y) / 0.16) ** 4))
    tint(lips, tone * [0.84, 0.56, 0.54])
    tint(1.1 * np.exp(-((x / 0.44) ** 4) - ((y - mouth_y) / 0.022) ** 2), tone * 0.35)
    tint(0.28 * np.exp(-((x / 0.3) ** 2) - ((y - mouth_y + 0.28) / 0.09) ** 2), tone * 0.62)
    if outfit.beard:
        jaw = (y < nose_y - 0.25) & (y > mouth_y - 0.82) & (lips < 0.5)
        jaw = jaw * np.clip((where[:, 2] - key[3, 2] - 0.01) / 0.03, 0, 1)
        moustache = spot(0.0, mouth_y + 0.24, 0.42, 0.1)
        grain = 0.85 + 0.1 * rng.normal(size=len(x))
        tint(np.maximum(0.8 * jaw * np.clip((nose_y - 0.2 - y) / 0.3, 0, 1), moustache) * grain,
             rgb(*outfit.hair) * 1.15)  # fmt: skip
    lid = np.exp(-(((np.hypot((np.abs(x) - 0.5) / 0.30, y / 0.17) - 1) / 0.22) ** 2))
    tint(0.75 * lid, tone * 0.30)  # lashes around the opening
    _eyes(colour, regions, eyes)
    # Hands and ears a little redder, the underside of the chin and neck in shade.
    extremity = regions.is_part("hand") | (head & ~front)
    colour[extremity] *= [1.03, 0.95, 0.93]
    throat = regions.is_part("neck") & (where[:, 2] > regions.joints[12, 2])
    up = (where[:, 1] - regions.joints[12, 1]) / 0.022
    shade = np.clip(0.6 + 0.4 * up, 0, 1) * np.clip((1.2 - up) / 0.4, 0, 1)
    colour[throat] *= 1 - 0.25 * shade[throat, None]
    return colour


def _eyes(colour: np.ndarray, regions: _Regions, eyes: np.ndarray) -> None:
    """White, iris and pupil on the eyeballs, around their foremost points."""
    ball = regions.is_part("eye")
    for side in (ball & (regions.where[:, 0] > 0), ball & (regions.where[:, 0] <= 0)):
        if not side.any():
            continue
        points = regions.where[side]
        front = points[points[:, 2] > points[:, 2].max() - 0.002].mean(0)
        distance = np.linalg.norm(points[:, :2] - front[:2], axis=1)
        tone = np.full((len(points), 3), 0.90)
        tone[distance < 0.0062] = [0.22, 0.15, 0.09]
        tone[distance < 0.0030] = 0.02
        colour[side] = tone


def _garment(name: str, regions: _Regions, outfit: Outfit, rng: np.random.Generator) -> np.ndarray:
    where = regions.where
    x, y, z = where.T
    weave = 1 + 0.05 * rng.normal(size=len(where))
    folds = value_noise(where * [1.0, 0.55, 1.0], 0.16, rng, octaves=3)
    match name:
        case "shirt":
            colour = _patterned(regions, outfit, rng)
            seam = np.abs(regions.down_arm - outfit.sleeves + 0.03) < 0.008
            hem = np.abs(y - regions.joints[0, 1] - 0.01) < 0.006
            dark = 0.72
        case "trousers":
            colour = np.tile(rgb(*outfit.trousers), (len(where), 1))
            seam = (np.abs(z - regions.joints[1, 2]) < 0.003) & (np.abs(x) > 0.12)
            hem = np.abs(regions.down_leg - outfit.legs + 0.02) < 0.006
            belt = y > regions.joints[0, 1] + 0.012
            colour[belt] = rgb(0.07, 0.5, 0.16)
            dark = 0.65
        case "shoes":
            colour = np.tile(rgb(*outfit.shoes), (len(where), 1))
            sole = y < regions.sole_y + 0.022
            colour[sole] = 0.82
            seam = np.abs(y - regions.joints[7, 1] + 0.01) < 0.004
            hem = (np.abs(((z * 90) % 1) - 0.5) < 0.16) & (z > regions.joints[7, 2] + 0.045) & ~sole
            hem &= (y > regions.sole_y + 0.05) & (np.abs(np.abs(x) - 0.115) < 0.022)
            dark = 1.6
        case _:
            colour = np.tile(rgb(*outfit.hair), (len(where), 1))
            strands = value_noise(where * [5.0, 1.0, 5.0], 0.06, rng, octaves=4)
            return colour * (1 + 0.45 * strands[:, None] + 0.10 * rng.normal(size=(len(where), 1)))
    colour = colour * (weave * (1 + 0.15 * folds))[:, None]
    colour[seam | hem] *= dark
    return colour


def _patterned(regions: _Regions, outfit: Outfit, rng: np.random.Generator) -> np.ndarray:
    x, y, z = regions.where.T
    base, accent = rgb(*outfit.shirt), rgb(*outfit.accent)
    colour = np.tile(base, (len(x), 1))
    # Along a sleeve the T-pose's x takes the part of the torso's y.
    along = np.where(regions.down_arm > 0.05, np.abs(x), y)
    match outfit.pattern:
        case "stripes":
            colour[(along / 0.055) % 1 < 0.42] = accent
        case "checks":
            down, over = (along / 0.085) % 1 < 0.45, ((x + z) / 0.085) % 1 < 0.45
            colour[down] = colour[down] * 0.55 + accent * 0.45
            colour[over] = colour[over] * 0.55 + accent * 0.45
            colour[((along / 0.085) % 1 < 0.06) | (((x + z) / 0.085) % 1 < 0.06)] *= 0.6
        case "band":
            chest = regions.joints[9, 1]
            colour[(np.abs(y - chest) < 0.055) | (regions.down_arm > outfit.sleeves - 0.1)] = accent
        case "print":
            centre = np.array([0.0, regions.joints[9, 1] - 0.02])
            across, up = (x - centre[0]) / 0.11, (y - centre[1]) / 0.11
            front = (z > regions.joints[9, 2]) & (np.hypot(across, up) < 1)
            motif = np.sin(5 * np.hypot(across, up) + rng.uniform(0, 6)) > 0
            colour[front & motif] = accent
            back = (z < regions.joints[9, 2]) & (np.abs(across) < 0.9) & (np.abs(up) < 0.35)
            colour[back & ((x * 60 % 1) < 0.6)] = accent
        case "plain":
            buttons = (np.abs(x) < 0.006) & ((y * 14) % 1 < 0.16) & (z > regions.joints[9, 2])
            colour[buttons] = accent
            colour[(np.abs(np.abs(x) - 0.014) < 0.0025) & (z > regions.joints[9, 2])] *= 0.75
    return colour


def dressed_offsets(body: BodyModel, outfit: Outfit) -> Float64[np.ndarray, "V 3"]:
    """How far clothes and hair stand off the skin at each vertex of the T-pose (metres)."""
    if body.vertex_part is None:
        raise ValueError(f"body '{body.name}' has no parts to dress")
    vertices = body.v_template.numpy().astype(np.float64)
    faces = body.faces.numpy()
    regions = _regions(body, vertices, body.vertex_part.numpy())
    thickness = np.zeros(len(vertices))
    crown = np.clip((vertices[:, 1] - regions.keypoints[1, 1]) / 0.10, 0.35, 1)
    depth = {"trousers": 0.011, "shirt": 0.009, "shoes": 0.007, "hair": 0.0}
    for name, covered in _clothes(regions, outfit).items():
        if name == "hair":
            thickness[covered] = ((0.024 if outfit.long_hair else 0.016) * crown)[covered]
        else:
            thickness[covered] = depth[name]
    for _ in range(2):  # soften the hems over a ring or two of vertices
        thickness = _neighbour_mean(thickness, faces)
    normals = vertex_normals(vertices, faces).astype(np.float64)
    offset = normals * thickness[:, None]
    shoe = vertices[:, 1] < regions.joints[7, 1]
    offset[shoe, 1] = np.maximum(offset[shoe, 1], 0)  # soles stay on the floor
    return offset


def _neighbour_mean(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for corner in range(3):
        for other in range(3):
            total += np.bincount(faces[:, corner], values[faces[:, other]], len(values))
            count += np.bincount(faces[:, corner], minlength=len(values))
    return total / np.maximum(count, 1)
