"""The `oracle` suite: every method on every scene and seed; what is done is kept and reused."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from multithumbs.bench.geometry import solve
from multithumbs.bench.methods import METHODS, Method
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.errors import ArtifactError, ConfigError
from multithumbs.evaluation.clip_scores import UNITS, clip_scores
from multithumbs.evaluation.tables import Case, TableRow, table_rows
from multithumbs.export.result import load_result, save_result
from multithumbs.io.atomic import replacing
from multithumbs.synth.clip_oracle import ClipOracle, make_clip_oracle
from multithumbs.synth.suite_scenes import SUITE_SCENES, suite_scene

SUITE: Final = "oracle"
SECONDS: Final = "seconds"
_ROOT: Final = Path(__file__).resolve().parents[1]
_EVERY: Final = (
    "synth/*.py", "body/*.py", "render/*.py", "types/*.py", "geometry/*.py", "bench/geometry.py",
    "stages/cameras.py", "stages/identities.py", "stages/people.py", "backends/identities/*.py",
    "backends/alignment/algorithm1.py", "backends/alignment/problem.py",
    "backends/boundaries/side.py", "backends/boundaries/vggt*.py", "backends/cameras/graph.py",
    "backends/people/gather.py", "backends/people/gaps.py", "backends/people/rows.py",
    "backends/people/shapes.py",
    "backends/people/ground.py", "backends/people/finish.py", "backends/people/adamw.py",
    "solvers/alignment.py", "solvers/alignment_adamw.py", "solvers/smoothing_adamw.py",
    "solvers/boundary_scale.py", "solvers/pose_graph.py", "solvers/identity_*.py",
    "backends/room_view.py", "backends/straight_edges.py", "backends/odometry/people_mask.py",
    "export/result.py", "solvers/priors.py", "solvers/ground.py",
    "backends/sizes.py", "solvers/person_sizes.py",
)  # fmt: skip
"""Code that every method's results follow from."""
_OURS: Final = (
    "backends/alignment/*.py", "backends/boundaries/*.py", "backends/cameras/*.py",
    "backends/people/*.py", "solvers/alignment*.py", "solvers/smoothing*.py",
    "solvers/contact*.py", "solvers/pose_graph*.py", "solvers/two_view*.py", "solvers/banded.py",
    "solvers/levenberg_marquardt.py", "solvers/island_layout.py",
)  # fmt: skip
"""And that of all but `literal`, which is slow and must not wait for our solvers to settle."""

Report = Callable[[str], None]


def choose(given: Sequence[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    """The named ones, all where none is named. Raises ConfigError for an unknown name."""
    for name in given:
        if name not in known:
            raise ConfigError(f"there is no {what} '{name}'; expected {', '.join(known)}")
    return tuple(name for name in known if name in given) if given else tuple(known)


def run_oracle(
    out: Path,
    *,
    scenes: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: range = range(2),
    report: Report = lambda line: None,
) -> list[TableRow]:
    """Rows of the suite's table.

    Results are kept under ``out/results`` by scene, seed, method and the code and configuration
    that they follow from, so that an interrupted or repeated run goes on where it was. Metrics
    are computed anew.

    Raises:
        ConfigError: an unknown scene or method.
    """
    names = choose(scenes, tuple(SUITE_SCENES), "scene")
    chosen = choose(methods, tuple(METHODS), "method")
    body = load_body(EMBEDDED_BODY)
    scores: dict[Case, dict[str, float | None]] = {}
    failures: dict[Case, str] = {}
    for scene in names:
        for seed in seeds:
            clip: ClipOracle | None = None
            for method in chosen:
                case = (scene, seed, method)
                clip = clip or make_clip_oracle(body, suite_scene(scene, seed), seed)
                outcome = _solved(out / "results", case, clip, body, report)
                if isinstance(outcome, str):
                    failures[case] = outcome
                else:
                    scores[case] = outcome
    return table_rows(SUITE, scores, failures, UNITS | {SECONDS: "s"})


def _solved(
    folder: Path, case: Case, clip: ClipOracle, body: BodyModel, report: Report
) -> dict[str, float | None] | str:
    """One case's metrics, or why it has none."""
    scene, seed, name = case
    method = METHODS[name]
    stem = f"{scene}-{seed}-{name}"
    key = _key(case, method, body)
    stamp, file = folder / f"{stem}.json", folder / f"{stem}.npz"
    known = _read(stamp)
    if known.get("key") != key:
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        try:
            save_result(solve(method, clip, body), file)
        except (OSError, ArtifactError):  # of the disk, not of the method: nothing to remember
            raise
        except Exception as failure:  # noqa: BLE001 - a failed case is a row, not the end
            error = f"{type(failure).__name__}: {failure}"
            report(f"{stem}: {error}")
            return error  # not remembered: it is tried again
        known = {"key": key, SECONDS: time.perf_counter() - began}
        with replacing(stamp) as temporary:
            temporary.write_text(json.dumps(known) + "\n", encoding="utf-8")
    report(f"{stem}: {known[SECONDS]:.1f} s")
    return {**clip_scores(load_result(file), clip.truth, body), SECONDS: float(known[SECONDS])}


def _read(stamp: Path) -> dict:
    try:
        return dict(json.loads(stamp.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _key(case: Case, method: Method, body: BodyModel) -> str:
    """Digest of all that a result follows from."""
    digest = hashlib.sha256(f"{case} {method!r} {body.sha256}".encode())
    patterns = _EVERY if method.name == "literal" else (*_EVERY, *_OURS)
    files = {path for pattern in patterns for path in _ROOT.glob(pattern)}
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()
