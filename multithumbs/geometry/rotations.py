"""Rotations: axis-angle, matrices, quaternions (wxyz), and the tangent space of SO(3)."""

import torch
from jaxtyping import Float
from torch import Tensor


def skew(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The matrix with ``skew(a) @ b == cross(a, b)``."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return rows.unflatten(-1, (3, 3))


def _sin_terms(
    axis_angle: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch 1 1"], Float[Tensor, "*batch 1 1"], Float[Tensor, "*batch 1 1"]]:
    """``sin(a)/a``, ``(1 - cos a)/a^2`` and ``(a - sin a)/a^3``, by series near zero."""
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-4
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    a = torch.where(small, 1 - squared / 6 + squared**2 / 120, angle.sin() / angle)
    b = torch.where(small, 0.5 - squared / 24 + squared**2 / 720, (1 - angle.cos()) / safe)
    c = torch.where(
        small, 1 / 6 - squared / 120 + squared**2 / 5040, (angle - angle.sin()) / (safe * angle)
    )
    return a, b, c


def matrix_from_axis_angle(
    axis_angle: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch 3 3"]:
    """The exponential map (Rodrigues' formula); differentiable at zero."""
    a, b, _ = _sin_terms(axis_angle)
    k = skew(axis_angle)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + a * k + b * (k @ k)


def left_jacobian(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """``J`` with ``exp(w + d) = exp(J d) exp(w)`` to first order in ``d``."""
    _, b, c = _sin_terms(axis_angle)
    k = skew(axis_angle)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + b * k + c * (k @ k)


def quaternion_from_matrix(
    matrix: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch 4"]:
    """Unit quaternion wxyz with w >= 0; exact for every angle (largest-component form)."""
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Four equal forms of the quaternion times 4 of its own components; the largest is stable.
    squares = torch.stack(
        [1 + trace, 1 + 2 * d0 - trace, 1 + 2 * d1 - trace, 1 + 2 * d2 - trace], -1
    )
    sx, sy, sz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    pxy, pxz, pyz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    forms = torch.stack(
        [
            torch.stack([squares[..., 0], sx, sy, sz], -1),
            torch.stack([sx, squares[..., 1], pxy, pxz], -1),
            torch.stack([sy, pxy, squares[..., 2], pyz], -1),
            torch.stack([sz, pxz, pyz, squares[..., 3]], -1),
        ],
        dim=-2,
    )
    index = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    best = forms.gather(-2, index).squeeze(-2)
    best = best / best.norm(dim=-1, keepdim=True)
    return torch.where(best[..., :1] < 0, -best, best)


def matrix_from_quaternion(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """From wxyz, normalised first."""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def axis_angle_from_matrix(
    matrix: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch 3"]:
    """The logarithm, angle in [0, pi]; accurate at zero and at pi."""
    quaternion = quaternion_from_matrix(matrix)
    w, xyz = quaternion[..., :1], quaternion[..., 1:]
    sine = xyz.norm(dim=-1, keepdim=True)
    small = sine < 1e-9
    angle = 2 * torch.atan2(sine, w)
    scale = torch.where(small, 2 / w, angle / torch.where(small, torch.ones_like(sine), sine))
    return xyz * scale


def angle_between(
    a: Float[Tensor, "*batch 3 3"], b: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, "*batch"]:
    """Geodesic distance in radians, accurate near 0 and pi."""
    return axis_angle_from_matrix(a.transpose(-1, -2) @ b).norm(dim=-1)


def rotation_between(
    a: Float[Tensor, "*batch 3"], b: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """The smallest rotation that takes direction ``a`` to direction ``b``."""
    a = a / a.norm(dim=-1, keepdim=True)
    b = b / b.norm(dim=-1, keepdim=True)
    cross = torch.linalg.cross(a, b)
    dot = (a * b).sum(-1, keepdim=True)
    # Where a and b are opposite any perpendicular axis will do.
    helper = torch.eye(3, dtype=a.dtype, device=a.device)[a.abs().argmin(-1)]
    perpendicular = torch.linalg.cross(a, helper)
    sine = cross.norm(dim=-1, keepdim=True)
    axis = torch.where(
        sine > 1e-9,
        cross / sine.clamp_min(1e-12),
        perpendicular / perpendicular.norm(dim=-1, keepdim=True),
    )
    return matrix_from_axis_angle(axis * torch.atan2(sine, dot))


def mean_rotation(
    matrices: Float[Tensor, "*batch N 3 3"], weights: Float[Tensor, "*batch N"]
) -> Float[Tensor, "*batch 3 3"]:
    """The chordal mean: the rotation nearest to the weighted sum of matrices."""
    return nearest_rotation((matrices * weights[..., None, None]).sum(-3))


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation nearest in the Frobenius norm (special orthogonal Procrustes)."""
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.ones_like(matrix[..., 0])
    sign[..., 2] = torch.det(u @ vh).sign()
    return u @ (sign[..., :, None] * vh)
