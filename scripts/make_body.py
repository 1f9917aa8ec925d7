"""Make the embedded body from Anny's CC0 MakeHuman data (developers only; needs `anny`).

    python scripts/make_body.py [OUT.npz]

Anny (Apache-2.0 code over MakeHuman's CC0 assets) gives bodies in MakeHuman's A-pose with 104
bones. This script samples adults and children, takes each to SMPL's T-pose and axes, collapses
the bones to SMPL's 24 joints, and keeps ten principal shape components. Equal inputs on one
machine give equal bytes.

The T-pose is made by *inverse* skinning: the T-posed vertex is the one that linear blend
skinning with the collapsed weights takes back to Anny's own vertex. Hence the embedded body
in MakeHuman's A-pose is Anny's mesh, and arms hang (as they mostly do) without the artefacts
of skinning twice.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny_source import (
    ADULT_YEARS,
    CHILD_YEARS,
    NUM_ADULTS,
    NUM_CHILDREN,
    Source,
    average_adult,
    load_source,
    people,
    t_pose,
)
from scipy.optimize import nnls

from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.storage import NUM_BETAS, PART_NAMES, BodyTables, write_body_file
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES

CHILD_WEIGHT = 0.5
"""Of a child in the principal components; an adult counts 1."""
BATCH = 40
JOINT_CANDIDATES = 1000
TEMPLATE_WEIGHT = 5.0
"""Of the average adult in a regressor; each beta counts 1 per standard deviation."""
SUM_WEIGHT = 10.0
"""Of the sum to one, per metre: the sum must not pay for a millimetre."""


@dataclass(frozen=True)
class ShapeSpace:
    v_template: np.ndarray
    shapedirs: np.ndarray
    J_template: np.ndarray
    J_shapedirs: np.ndarray
    betas: np.ndarray
    """(adults + children, 10)."""
    error_mm: np.ndarray
    """(adults + children,): mean distance between a body's vertices and what betas give."""


def shape_space(source: Source, adults: dict, children: dict) -> ShapeSpace:
    """Principal components about the average adult; one beta is one deviation of adults."""
    template, joints = t_pose(source, average_adult(adults))
    everyone = {name: torch.cat([adults[name], children[name]]) for name in adults}
    num_adults, total = len(adults["age"]), len(everyone["age"])
    vertices, places = [], []
    for start in range(0, total, BATCH):
        part = {name: values[start : start + BATCH] for name, values in everyone.items()}
        v, j = t_pose(source, part)
        vertices.append((v - template).flatten(1))
        places.append((j - joints).flatten(1))
    x, y = torch.cat(vertices), torch.cat(places)
    weight = torch.ones(total, 1, dtype=x.dtype)
    weight[num_adults:] = CHILD_WEIGHT
    rooted = x * weight.sqrt()
    _, vectors = torch.linalg.eigh(rooted @ rooted.mT)
    directions = rooted.mT @ vectors[:, -NUM_BETAS:].flip(1)
    directions = directions / directions.norm(dim=0)
    scores = x @ directions
    deviation = scores[:num_adults].square().mean(0).sqrt()
    # An eigenvector's sign is arbitrary: a larger beta is a taller person.
    upward = directions.unflatten(0, (-1, 3))[:, 1] * template[0, :, 1:2].sign()
    scale = deviation * upward.sum(0).sign()
    betas = scores / scale
    weighted = (betas * weight).mT
    joints_by = torch.linalg.solve(weighted @ betas, weighted @ y)
    rest = (x - scores @ directions.mT).unflatten(1, (-1, 3)).norm(dim=-1).mean(1)
    return ShapeSpace(
        template[0].numpy(),
        (directions * scale).unflatten(0, (-1, 3)).numpy(),
        joints[0].numpy(),
        joints_by.unflatten(1, (-1, 3)).permute(1, 2, 0).numpy(),
        betas.numpy(),
        rest.numpy() * 1000,
    )


def convex_regressor(
    space: ShapeSpace, target: np.ndarray, target_by: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """(V,) sparse non-negative weights, sum 1, that give the target as the shape changes.

    ``target`` (3,), ``target_by`` (3, 10). Non-negative least squares picks few vertices. No
    combination inside the body follows MakeHuman's bones exactly (they are places of helper
    geometry); the average adult's are met, the changes with shape as nearly as can be.
    """
    by = np.moveaxis(space.shapedirs[candidates], 2, 0).swapaxes(1, 2)
    rows = np.concatenate([TEMPLATE_WEIGHT * space.v_template[candidates].T, *by])
    goal = np.concatenate([TEMPLATE_WEIGHT * target, *target_by.T])
    one = np.full((1, len(candidates)), SUM_WEIGHT)
    solution, _ = nnls(np.vstack([rows, one]), np.append(goal, SUM_WEIGHT), maxiter=20000)
    solution[solution < 1e-4] = 0
    weights = np.zeros(len(space.v_template))
    weights[candidates] = solution / solution.sum()
    return weights


def joint_regressor(source: Source, space: ShapeSpace) -> np.ndarray:
    """(24, V): each joint from the nearest vertices that it or its neighbours move."""
    rows = []
    for joint, parent in enumerate(JOINT_PARENTS):
        children = [child for child, above in enumerate(JOINT_PARENTS) if above == joint]
        near = [joint, *children, *([parent] if parent >= 0 else [])]
        reach = np.flatnonzero(source.weights[:, near].sum(1).numpy() > 0.5)
        distance = np.linalg.norm(space.v_template[reach] - space.J_template[joint], axis=1)
        candidates = np.sort(reach[np.argsort(distance, kind="stable")[:JOINT_CANDIDATES]])
        rows.append(
            convex_regressor(space, space.J_template[joint], space.J_shapedirs[joint], candidates)
        )
    return np.stack(rows)


def keypoint_regressor(source: Source, space: ShapeSpace) -> np.ndarray:
    """(23, V): Anny's COCO regressors, thinned to few vertices that give the same points."""
    dense = anny.KeypointsRegressor.coco(source.model, list(KEYPOINT_NAMES)).regression_weights
    dense = dense[:, source.kept].numpy()
    rows = []
    for weights in dense:
        weights = weights / weights.sum()
        target = weights @ space.v_template
        distance = np.linalg.norm(space.v_template - target, axis=1)
        candidates = np.flatnonzero((weights > 0) & (distance < 0.15))
        by = np.einsum("v,vcb->cb", weights, space.shapedirs)
        rows.append(convex_regressor(space, target, by, candidates))
    return np.stack(rows)


def vertex_parts(source: Source, space: ShapeSpace, eyes: np.ndarray) -> np.ndarray:
    """(V,) index into PART_NAMES, cut along planes of the T-pose: hems are straight."""
    x, y, z = np.abs(space.v_template[:, 0]), space.v_template[:, 1], space.v_template[:, 2]
    place = dict(zip(JOINT_NAMES, space.J_template, strict=True))
    weights = dict(zip(JOINT_NAMES, source.weights.numpy().T, strict=True))
    side = [name for name in JOINT_NAMES if name.startswith(("left_", "right_"))]

    def moved_by(*stems: str) -> np.ndarray:
        return np.sum([weights[n] for n in side if n.split("_")[1] in stems], axis=0) > 0.5

    arm = moved_by("shoulder", "elbow", "wrist", "hand")
    head = weights["head"] + weights["neck"] > 0.5
    leg = ~arm & ~head & (y < place["left_hip"][1] - 0.09)
    ear = place["head"] + (0.0, 0.03, 0.005)
    # The hairline from the nape, over the ears, to the forehead.
    hairline = np.interp(
        z, ear[2] + [-0.08, -0.02, 0.02, 0.06, 0.1], ear[1] + [-0.06, -0.01, 0.04, 0.075, 0.08]
    )
    conditions = {
        "eye": eyes,
        "hair": head & (y > hairline),
        "neck": head & (y < place["head"][1] - 0.03),
        "face": head,
        "hand": arm & (x > place["left_wrist"][0]),
        "forearm": arm & (x > place["left_elbow"][0]),
        "upper_arm": arm,
        "foot": leg & (y < place["left_ankle"][1] + 0.03),
        "shank": leg & (y < place["left_knee"][1]),
        "thigh": leg,
        "hips": y < place["spine1"][1] + 0.02,
    }
    chosen = np.full(len(y), PART_NAMES.index("torso"))
    for name, where in reversed(conditions.items()):  # the first that holds is painted last
        chosen[where] = PART_NAMES.index(name)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=EMBEDDED_BODY)
    out: Path = parser.parse_args().out
    source, seen = load_source()
    model = source.model
    adults, children = people(source)
    space = shape_space(source, adults, children)
    eye_faces = get_face_segmentation_mask(model, ["eye_front.L", "eye_front.R"])
    eyes = np.isin(source.kept.numpy(), model.faces[eye_faces].unique().numpy())
    uv_index = model.face_texture_coordinate_indices[seen]
    used, uv_faces = uv_index.unique(return_inverse=True)
    uv = model.texture_coordinates[used].numpy()
    tables = BodyTables(
        name="multithumbs embedded body 1",
        licence="CC0-1.0 (MakeHuman assets, by way of Anny)",
        v_template=rounded(space.v_template),
        shapedirs=rounded(space.shapedirs),
        posedirs=np.zeros((0, 3, 207), np.float32),
        J_regressor=exact_shares(joint_regressor(source, space)),
        lbs_weights=exact_shares(source.weights.numpy()),
        faces=np.searchsorted(source.kept.numpy(), model.faces[seen].numpy()),
        keypoint_vertices=exact_shares(keypoint_regressor(source, space)),
        keypoint_joints=np.zeros((len(KEYPOINT_NAMES), len(JOINT_NAMES))),
        betas_range=np.quantile(space.betas, (0.002, 0.998), axis=0).round(2),
        uv=rounded(np.stack([uv[:, 0], 1 - uv[:, 1]], 1)),
        face_uv_index=uv_faces.numpy(),
        vertex_part=vertex_parts(source, space, eyes),
    )
    write_body_file(out, tables)
    out.with_suffix(".md").write_text(provenance(tables, space))
    size = out.stat().st_size
    print(f"{out}: {len(tables.v_template)} vertices, {len(tables.faces)} faces, {size} bytes")


def exact_shares(shares: np.ndarray) -> np.ndarray:
    """Rows in steps of 2^-16 that sum to one exactly, in any floating-point type."""
    steps = np.rint(shares * 2**16)
    rows = np.arange(len(steps))
    steps[rows, steps.argmax(1)] += 2**16 - steps.sum(1)
    return (steps / 2**16).astype(np.float32)


def provenance(tables: BodyTables, space: ShapeSpace) -> str:
    """What the body is made from, under which licence, and what its numbers mean."""
    adults, children = slice(0, NUM_ADULTS), slice(NUM_ADULTS, None)
    low, high = tables.betas_range.round(1)
    ranges = ", ".join(f"{a} to {b}" for a, b in zip(low, high, strict=True))

    def stature(beta0: float) -> float:
        return float(np.ptp(tables.v_template[:, 1] + beta0 * tables.shapedirs[:, 1, 0]))

    statures = ", ".join(f"{stature(b):.2f} m at {b:+d}" for b in (-6, -4, -2, 0, 2, 3))
    return PROVENANCE.format(
        version=anny.__version__, num_vertices=len(tables.v_template), num_faces=len(tables.faces),
        num_adults=NUM_ADULTS, num_children=NUM_CHILDREN, child_weight=CHILD_WEIGHT,
        adult_years="{:.0f} to {:.0f}".format(*ADULT_YEARS),
        child_years="{:.0f} to {:.0f}".format(*CHILD_YEARS), statures=statures, ranges=ranges,
        adult_error=space.error_mm[adults].mean(), child_error=space.error_mm[children].mean(),
        adult_beta0=np.quantile(space.betas[adults, 0], (0.01, 0.99)).round(1).tolist(),
        child_beta0=np.quantile(space.betas[children, 0], (0.01, 0.99)).round(1).tolist(),
    )  # fmt: skip


PROVENANCE = """# embedded_body.npz

Made by `scripts/make_body.py` from the data of [Anny](https://github.com/naver/anny) {version}
(PyPI wheel; its code, used as a tool, is Apache-2.0).

**Licence: CC0 1.0.** The template mesh, blend shapes, rig, skinning weights and texture
coordinates are MakeHuman community assets released under CC0 1.0 Universal (public domain
dedication, <https://creativecommons.org/publicdomain/zero/1.0/>), as `anny/data/mpfb2/LICENSE.md`
in that wheel says. Everything derived here from them is released under CC0 1.0 as well. The
places of the 23 keypoints follow Anny's COCO regressors, the statures by age its curves (NAVER,
Apache-2.0). Nothing of SMPL's own files is in it: only SMPL's *form* (24 joints, axes, T-pose).

- {num_vertices} vertices, {num_faces} triangles; mouth, tongue and the backs of the eyes left out.
- T-pose and axes of SMPL: +x the person's left, +y up, +z out of the chest, metres; palms down.
  The origin is the joint `spine2`, so that, as with SMPL, the pelvis is not at the origin and
  moves with betas.
- Linear blend skinning with Anny's 104 bones summed into 24; no pose blend shapes. In
  MakeHuman's A-pose the average adult is Anny's mesh.
- Shape: ten principal components of {num_adults} adults of {adult_years} years and
  {num_children} children of {child_years} years (a child weighs {child_weight}), about the average
  adult. **One beta is one standard deviation of the adults.** The first is dominated by stature
  ({statures}).
  98 % of the adults lie within {adult_beta0} of it and of the children within {child_beta0}:
  a child is a large negative first beta. `betas_range` in the file, per component:
  {ranges}.
- Mean vertex error of ten components: adults {adult_error:.1f} mm, children {child_error:.1f} mm.
"""


def rounded(values: np.ndarray) -> np.ndarray:
    """To a micrometre: what compression keeps, and far below a tenth of a millimetre in sum."""
    return values.round(6).astype(np.float32)


if __name__ == "__main__":
    main()
