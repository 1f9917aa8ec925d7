"""Placing shots in one world: a small pose graph over similarities."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

HUBER = 2.0
"""Standard deviations beyond which an edge's disagreement counts linearly."""
MAX_ITERATIONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """``E`` measured relations between a camera of one shot and a camera of another, metric."""

    first: Int64[np.ndarray, " E"]
    second: Int64[np.ndarray, " E"]
    first_shot_from_cam: Float64[np.ndarray, "E 4 4"]
    """Odometry of the first shot's camera (its own units)."""
    second_shot_from_cam: Float64[np.ndarray, "E 4 4"]
    first_from_second: Float64[np.ndarray, "E 4 4"]
    """Rigid: the second camera in the first camera's axes, metres."""
    rotation_std: Float64[np.ndarray, " E"]
    """Radians."""
    translation_std: Float64[np.ndarray, " E"]
    """Metres."""

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Each shot in the world of its island."""

    world_from_shot: Float64[np.ndarray, "S 4 4"]
    """Rigid; acts on odometry whose translations were multiplied by ``metres_per_unit``."""
    metres_per_unit: Float64[np.ndarray, " S"]
    island: Int64[np.ndarray, " S"]
    residual_m: Float64[np.ndarray, " E"]
    """How far each edge's second camera is from where the edge wants it."""


def scaled(
    transforms: Float64[np.ndarray, "*T 4 4"], scale: Float64[np.ndarray, "*T"] | float
) -> Float64[np.ndarray, "*T 4 4"]:
    """Rigid transforms with their translations multiplied."""
    out = transforms.copy()
    out[..., :3, 3] *= np.asarray(scale)[..., None]
    return out


def islands_of(num_shots: int, edges: Edges) -> Int64[np.ndarray, " S"]:
    """Connected components, numbered in order of their first shots."""
    label = np.arange(num_shots)
    for a, b in zip(edges.first, edges.second, strict=True):
        low, high = sorted((int(label[a]), int(label[b])))
        label[label == high] = low
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def place(
    num_shots: int,
    edges: Edges,
    metres_per_unit: Float64[np.ndarray, " S"],
    scale_log_std: Float64[np.ndarray, " S"],
) -> Placement:
    """World of every shot, with the first shot of each island as its origin.

    A chain of cuts is a tree: it is followed edge by edge and no edge disagrees. Where shots
    are tied together by more edges than a tree has (returns to an earlier camera), the
    disagreement is distributed by least squares, over poses and over those scales that are
    uncertain (``scale_log_std`` > 0, standard deviation of the logarithm).
    """
    island = islands_of(num_shots, edges)
    world = _follow(num_shots, edges, metres_per_unit, island)
    scale = metres_per_unit.copy()
    if len(edges) > num_shots - (island.max() + 1):
        world, scale = _distribute(world, scale, scale_log_std, edges, island)
    return Placement(
        world_from_shot=world,
        metres_per_unit=scale,
        island=island,
        residual_m=np.linalg.norm(_disagreement(_ends(world, scale, edges), edges)[:, 3:], axis=1),
    )


def _follow(
    num_shots: int,
    edges: Edges,
    scale: Float64[np.ndarray, " S"],
    island: Int64[np.ndarray, " S"],
) -> Float64[np.ndarray, "S 4 4"]:
    """Spanning tree from each island's first shot, the most certain edges first."""
    world = np.tile(np.eye(4), (num_shots, 1, 1))
    placed = np.zeros(num_shots, bool)
    placed[np.unique(island, return_index=True)[1]] = True
    order = np.argsort(edges.translation_std, kind="stable")
    first_cam = scaled(edges.first_shot_from_cam, scale[edges.first])
    second_cam = scaled(edges.second_shot_from_cam, scale[edges.second])
    while True:
        ready = [e for e in order if placed[edges.first[e]] != placed[edges.second[e]]]
        if not ready:
            return world
        e = ready[0]
        a, b = edges.first[e], edges.second[e]
        first_from_second = first_cam[e] @ edges.first_from_second[e] @ np.linalg.inv(second_cam[e])
        if placed[a]:
            world[b] = world[a] @ first_from_second
        else:
            world[a] = world[b] @ np.linalg.inv(first_from_second)
        placed[[a, b]] = True


class _Ends(NamedTuple):
    """Placement of both shots of each edge."""

    first: Float64[np.ndarray, "E 4 4"]
    first_scale: Float64[np.ndarray, " E"]
    second: Float64[np.ndarray, "E 4 4"]
    second_scale: Float64[np.ndarray, " E"]


def _ends(
    world: Float64[np.ndarray, "S 4 4"], scale: Float64[np.ndarray, " S"], edges: Edges
) -> _Ends:
    a, b = edges.first, edges.second
    return _Ends(world[a], scale[a], world[b], scale[b])


def _disagreement(ends: _Ends, edges: Edges) -> Float64[np.ndarray, "E 6"]:
    """Rotation (radians) and translation (metres, in the first camera's axes) left at edges."""
    first = ends.first @ scaled(edges.first_shot_from_cam, ends.first_scale)
    second = ends.second @ scaled(edges.second_shot_from_cam, ends.second_scale)
    relative = np.linalg.inv(first) @ second
    measured = edges.first_from_second
    turn = relative[:, :3, :3] @ measured[:, :3, :3].transpose(0, 2, 1)
    rotation = Rotation.from_matrix(turn).as_rotvec()
    return np.concatenate([rotation, relative[:, :3, 3] - measured[:, :3, 3]], axis=1)


def _moved(
    world: Float64[np.ndarray, "N 4 4"],
    scale: Float64[np.ndarray, " N"],
    step: Float64[np.ndarray, "N 7"],
) -> tuple[Float64[np.ndarray, "N 4 4"], Float64[np.ndarray, " N"]]:
    """Turned (right), shifted, and scaled by ``exp``."""
    out = world.copy()
    out[:, :3, :3] = world[:, :3, :3] @ Rotation.from_rotvec(step[:, :3]).as_matrix()
    out[:, :3, 3] += step[:, 3:6]
    return out, scale * np.exp(step[:, 6])


def _distribute(
    world: Float64[np.ndarray, "S 4 4"],
    start_scale: Float64[np.ndarray, " S"],
    scale_log_std: Float64[np.ndarray, " S"],
    edges: Edges,
    island: Int64[np.ndarray, " S"],
) -> tuple[Float64[np.ndarray, "S 4 4"], Float64[np.ndarray, " S"]]:
    """Robust Levenberg-Marquardt over 7 numbers per shot; each island's first shot stays."""
    shots, scale = len(world), start_scale
    whiten = 1 / np.stack([edges.rotation_std] * 3 + [edges.translation_std] * 3, axis=1)
    held = np.zeros((shots, 7), bool)
    held[np.unique(island, return_index=True)[1], :6] = True
    held[scale_log_std <= 0, 6] = True
    free = np.flatnonzero(~held.ravel())
    prior = 1 / np.where(scale_log_std > 0, scale_log_std, 1.0)

    def cost(world: np.ndarray, scale: np.ndarray) -> float:
        size = np.linalg.norm(whiten * _disagreement(_ends(world, scale, edges), edges), axis=1)
        robust = np.where(size < HUBER, size**2, 2 * HUBER * size - HUBER**2)
        return float(robust.sum() + ((prior * np.log(scale / start_scale)) ** 2).sum())

    best, damping = cost(world, scale), 1e-6
    for _ in range(MAX_ITERATIONS):
        ends = _ends(world, scale, edges)
        residual = whiten * _disagreement(ends, edges)
        weight = HUBER / np.maximum(np.linalg.norm(residual, axis=1), HUBER)
        jacobian = _jacobian(ends, edges, whiten, shots)
        weighted = jacobian.T @ diags_array(np.repeat(weight, 6))
        diagonal = np.zeros((shots, 7))
        diagonal[:, 6] = prior**2
        normal = (weighted @ jacobian + diags_array(diagonal.ravel())).tocsc()[free][:, free]
        slope = weighted @ residual.ravel()
        slope[6::7] += prior**2 * np.log(scale / start_scale)
        step = np.zeros(shots * 7)
        step[free] = -spsolve(normal + diags_array(damping * normal.diagonal() + 1e-12),
                              slope[free])  # fmt: skip
        trial = _moved(world, scale, step.reshape(shots, 7))
        trial_cost = cost(*trial)
        if trial_cost < best:
            gain = (best - trial_cost) / best
            (world, scale), best, damping = trial, trial_cost, damping / 10
            if gain < 1e-9:
                break
        else:
            damping = max(damping, 1e-6) * 20
            if damping > 1e6:
                break
    return world, scale


def _jacobian(
    ends: _Ends, edges: Edges, whiten: Float64[np.ndarray, "E 6"], shots: int
) -> csr_array:
    """``6E x 7S``; central differences, all edges at once, for either end of an edge."""
    count = len(edges)
    blocks = np.empty((2, count, 6, 7))
    for k in range(7):
        step = np.zeros((count, 7))
        step[:, k] = 1e-6
        for end in range(2):
            sides = []
            for sign in (1, -1):
                if end == 0:
                    world, scale = _moved(ends.first, ends.first_scale, sign * step)
                    nudged = ends._replace(first=world, first_scale=scale)
                else:
                    world, scale = _moved(ends.second, ends.second_scale, sign * step)
                    nudged = ends._replace(second=world, second_scale=scale)
                sides.append(_disagreement(nudged, edges))
            blocks[end, :, :, k] = whiten * (sides[0] - sides[1]) / 2e-6
    rows = 6 * np.arange(count)[None, :, None, None] + np.arange(6)[:, None]
    columns = 7 * np.stack([edges.first, edges.second])[..., None, None] + np.arange(7)
    rows, columns = np.broadcast_arrays(rows, columns)
    entries = (blocks.ravel(), (rows.ravel(), columns.ravel()))
    return coo_array(entries, shape=(6 * count, 7 * shots)).tocsr()
