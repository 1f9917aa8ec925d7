"""Bodies and people of noise."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from multithumbs.body import BodyModel, load_body
from multithumbs.body.storage import BodyTables, write_body_file

People = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="session")
def random_tables() -> Callable[[int], BodyTables]:
    return _random_tables


@pytest.fixture(scope="session")
def random_people() -> People:
    return _random_people


@pytest.fixture(scope="session")
def noise_body(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    """A small body with pose blend shapes, for what the embedded body does not exercise."""
    path = tmp_path_factory.mktemp("body") / "noise.npz"
    write_body_file(path, _random_tables(60))
    return load_body(path)


def _random_tables(num_vertices: int, seed: int = 0) -> BodyTables:
    """A body of nothing but noise, pose blend shapes included."""
    rng = np.random.default_rng(seed)

    def shares(*shape: int) -> np.ndarray:
        values = rng.random(shape) * (rng.random(shape) < 0.3)
        values[:, 0] += 0.1
        return values / values.sum(1, keepdims=True)

    vertices_and_joints = shares(23, num_vertices + 24)
    return BodyTables(
        name="noise",
        licence="none",
        v_template=rng.normal(size=(num_vertices, 3)),
        shapedirs=rng.normal(size=(num_vertices, 3, 10)) * 0.1,
        posedirs=rng.normal(size=(num_vertices, 3, 207)) * 0.02,
        J_regressor=shares(24, num_vertices),
        lbs_weights=shares(num_vertices, 24),
        faces=rng.integers(0, num_vertices, (70, 3)),
        keypoint_vertices=vertices_and_joints[:, :num_vertices],
        keypoint_joints=vertices_and_joints[:, num_vertices:],
        betas_range=np.array([[-2.0] * 10, [2.0] * 10]),
        uv=np.zeros((0, 2)),
        face_uv_index=np.zeros((0, 3), np.int64),
        vertex_part=np.zeros(0, np.int64),
    )


def _random_people(number: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pose (N, 24, 3), betas (N, 10), transl (N, 3)."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return noise(number, 24, 3) * 0.5, noise(number, 10), noise(number, 3)
