"""The `pixels` suite: the same scenes rendered, and the whole pipeline on their pixels alone.

The methods differ from the alignment on. They run one after another in one folder per clip, so
that the runner's own keys make them share what they see; each method's result is kept aside.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from multithumbs.bench.methods import AS_PRINTED, BLIND, BY_LOOKS, DISTANCE
from multithumbs.bench.oracle import choose
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.compose import dump, load_config
from multithumbs.config.identities import HungarianIdentitiesConfig
from multithumbs.config.root import Config
from multithumbs.errors import MultithumbsError
from multithumbs.evaluation.clip_scores import UNITS, clip_scores
from multithumbs.evaluation.score import score
from multithumbs.evaluation.tables import Case, TableRow, table_rows
from multithumbs.export.result import load_result, save_result
from multithumbs.io.atomic import replacing
from multithumbs.io.video_index import file_sha256
from multithumbs.pipeline import Run, run_video
from multithumbs.runner import clip_folder
from multithumbs.synth.clip import render_clip
from multithumbs.synth.suite_scenes import SUITE_SCENES, suite_scene
from multithumbs.synth.truth import Truth, truth_of

SUITE: Final = "pixels"
SECONDS: Final = "seconds"
_FITTED_SIZES: Final = ("cameras.sizes=null", "people.gather.sizes=null")
_UNRELATED: Final = (
    "alignment.limits.max_residual_of_height=1e-9",  # no cut is believed
    "cameras.revisits.enabled=false", "cameras.room.enabled=false", "people.layout=null",
    *_FITTED_SIZES,
)  # fmt: skip


def _overrides(identities: HungarianIdentitiesConfig) -> tuple[str, ...]:
    changed = identities.model_dump(exclude_defaults=True)
    return tuple(f"identities.{name}={json.dumps(value)}" for name, value in changed.items())


METHODS: Final[dict[str, tuple[str, ...]]] = {
    "ours": (),
    "literal": (
        "alignment=adamw", "cameras=literal", "people=adamw", *_overrides(AS_PRINTED)
    ),
    "single-shot": (*_UNRELATED, *_overrides(BY_LOOKS)),
    "ours-without-cameras": ("cameras=literal",),
    "ours-without-post": ("people.refine=false",),
    "ours-without-sizes": _FITTED_SIZES,
    "ours-without-alignment": ("alignment.stages=[]",),
    "reid-distance": _overrides(DISTANCE),
    "reid-distance-pose": _overrides(BLIND),
}  # fmt: skip
"""What each method overrides in the default configuration."""
_ORDER: Final = (
    "ours", "ours-without-post", "reid-distance-pose", "reid-distance", "ours-without-sizes",
    "ours-without-cameras", "ours-without-alignment", "single-shot", "literal",
)  # fmt: skip
"""In which they run: neighbours share the most stages."""
_LEAN: Final = ("outputs.overlay.enabled=false", "outputs.world.enabled=false")
_UNITS: Final = UNITS | {"precision": "%", SECONDS: "s"}

_ROOT: Final = Path(__file__).resolve().parents[1]
_JUDGED_BY: Final = ("bench", "cli", "demo", "doctor", "evaluation", "viz", "api", "batch")
"""Parts of the package that no result follows from."""
_CROSS_SHOT: Final = ("boundaries", "alignment", "cameras", "identities", "people")
_CROSS_SHOT_CODE: Final = (
    *(f"{room}/{stage}" for room in ("backends", "config", "stages") for stage in _CROSS_SHOT),
    *(f"solvers/{name}" for name in ("alignment", "banded", "boundary", "contact", "ground",
                                     "identity", "island_layout", "person_sizes", "pose_graph",
                                     "smoothing", "two_view")),
    "backends/sizes", "config/sizes",
)  # fmt: skip
"""Code that only the stages from the boundaries on follow from."""

Report = Callable[[str], None]
Document = TypeVar("Document", bound=BaseModel)


class _Stamp(BaseModel):
    """What is known of one finished case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    seconds: float
    error: str


class _Code(BaseModel):
    """Digests of the code that a clip's artifacts were computed with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    perception: str
    cross_shot: str


def run_pixels(
    out: Path,
    *,
    scenes: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: range = range(1),
    report: Report = lambda line: None,
) -> list[TableRow]:
    """Rows of the suite's table.

    Clips are kept under ``out/clips`` (delete them to render anew), artifacts under
    ``out/runs``, results under ``out/results`` by scene, seed and method, with the code, video
    and configuration that they follow from: an interrupted or repeated run goes on where it was,
    and stages whose code changed are computed anew. Metrics are computed anew each time.

    Raises:
        ConfigError: an unknown scene or method.
    """
    names = choose(scenes, tuple(SUITE_SCENES), "scene")
    chosen = choose(methods, tuple(METHODS), "method")
    body = load_body(EMBEDDED_BODY)
    code = _code()
    scores: dict[Case, dict[str, float | None]] = {}
    failures: dict[Case, str] = {}
    for name in names:
        for seed in seeds:
            truth = truth_of(suite_scene(name, seed), body)
            video = _rendered(out / "clips", name, seed, truth, body, report)
            for method in sorted(chosen, key=_ORDER.index):
                case = (name, seed, method)
                outcome = _solved(out, case, video, truth, body, code, report)
                if isinstance(outcome, str):
                    failures[case] = outcome
                else:
                    scores[case] = outcome
    return table_rows(SUITE, scores, failures, _UNITS)


def _rendered(
    folder: Path, name: str, seed: int, truth: Truth, body: BodyModel, report: Report
) -> Path:
    video = folder / f"{name}-{seed}.mp4"
    if not video.is_file():
        scene = suite_scene(name, seed)
        report(f"{name}-{seed}: rendering {scene.num_frames} frames")
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(video) as temporary:
            render_clip(scene, truth, body, temporary)
    return video


def _solved(
    out: Path,
    case: Case,
    video: Path,
    truth: Truth,
    body: BodyModel,
    code: _Code,
    report: Report,
) -> dict[str, float | None] | str:
    """One case's metrics, or why it has none."""
    scene, seed, method = case
    stem = f"{scene}-{seed}-{method}"
    config = load_config([*METHODS[method], *_LEAN])
    stamp, file = out / "results" / f"{stem}.json", out / "results" / f"{stem}.npz"
    key = _key(video, config, body, code)
    known = _read(stamp, _Stamp)
    if known is None or known.key != key:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        error, seconds = "", 0.0
        try:
            done = _run(video, config, out / "runs", code)
            save_result(load_result(done.folder / "result.npz"), file)
            if done.summary is not None:
                seconds = sum(cost.seconds for cost in done.summary.stages.values())
        except MultithumbsError as failure:
            error = f"{type(failure).__name__}: {failure}"
        known = _Stamp(key=key, seconds=seconds, error=error)
        _write(stamp, known)
    report(f"{stem}: {known.error or format(known.seconds, '.1f') + ' s'}")
    if known.error:
        return known.error
    result = load_result(file)
    precision = score(result, truth, body).precision
    return {
        **clip_scores(result, truth, body),
        "precision": None if precision is None else 100 * precision,
        SECONDS: known.seconds,
    }


def _run(video: Path, config: Config, runs: Path, code: _Code) -> Run:
    """The pipeline on one clip; what other code computed earlier is computed anew.

    The runner's keys know a stage's version, not its code. After one whole run every artifact
    is of this code, whichever methods ran before: each stage keeps one artifact per item.
    """
    folder = clip_folder(runs, video, file_sha256(video))
    stamp = folder / "code.json"
    known = _read(stamp, _Code)
    if known is None and not folder.exists():
        folder.mkdir(parents=True)
        _write(stamp, code)
        known = code
    redo: tuple[str, ...] = ()
    if known is None or known.perception != code.perception:
        redo = ("all",)
    elif known.cross_shot != code.cross_shot:
        redo = _CROSS_SHOT
    done = run_video(video, config, out=runs, redo=redo)
    _write(stamp, code)
    return done


def _key(video: Path, config: Config, body: BodyModel, code: _Code) -> str:
    """Digest of all that a result follows from."""
    parts = [file_sha256(video), dump(config), body.sha256, code.model_dump()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _code() -> _Code:
    digests = {False: hashlib.sha256(), True: hashlib.sha256()}
    for path in sorted(_ROOT.rglob("*.py")):
        name = path.relative_to(_ROOT).as_posix()
        if not name.startswith(_JUDGED_BY):
            digests[name.startswith(_CROSS_SHOT_CODE)].update(path.read_bytes())
    return _Code(perception=digests[False].hexdigest(), cross_shot=digests[True].hexdigest())


def _read(path: Path, kind: type[Document]) -> Document | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, content: BaseModel) -> None:
    with replacing(path) as temporary:
        temporary.write_text(content.model_dump_json() + "\n", encoding="utf-8")
