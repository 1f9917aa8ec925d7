"""What must be importable without torch, and quickly."""

import subprocess
import sys

import pytest


def loaded(statement: str) -> set[str]:
    """Modules that a fresh interpreter has after ``statement``."""
    code = f"{statement}\nimport sys; sys.stdout.write('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "cv2", "warp", "scipy", "smplx"}


@pytest.mark.parametrize(
    "statement",
    [
        "import multithumbs; multithumbs.__version__",
        "import multithumbs.types, multithumbs.types.work, multithumbs.types.result",
        "import multithumbs.config.root, multithumbs.config.compose",
        "from multithumbs import Config, run",
        "from multithumbs.cli.arguments import parse; parse(['doctor'])",
        "import multithumbs.cli.run",
        "import multithumbs.runner",
        "import multithumbs.cli.checkpoints",
    ],
)
def test_no_torch(statement: str) -> None:
    assert not HEAVY & loaded(statement)


def test_the_public_names_exist() -> None:
    import multithumbs

    assert set(multithumbs.__all__) == {"Config", "__version__", "load_result", "run"}
    for name in multithumbs.__all__:
        assert getattr(multithumbs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = multithumbs.nothing
