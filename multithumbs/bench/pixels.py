"""The `pixels` suite: the same scenes rendered, and the whole pipeline on their pixels alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from multithumbs.bench.oracle import choose
from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.config.compose import load_config
from multithumbs.errors import MultithumbsError
from multithumbs.evaluation.clip_scores import UNITS, clip_scores
from multithumbs.evaluation.tables import Case, TableRow, table_rows
from multithumbs.export.result import load_result
from multithumbs.io.atomic import replacing
from multithumbs.pipeline import run_video
from multithumbs.synth.clip import render_clip
from multithumbs.synth.suite_scenes import SUITE_SCENES, suite_scene
from multithumbs.synth.truth import truth_of

SUITE: Final = "pixels"
SECONDS: Final = "seconds"
RESULT: Final = "result.npz"
METHODS: Final[dict[str, tuple[str, ...]]] = {
    "ours": (),
    "literal": (
        "alignment=adamw", "cameras=literal", "people=adamw", "identities.speed_m_s=0",
        "identities.max_walk_m=0", "identities.velocity_memory_s=0",
        "identities.across_islands=false",
    ),
    "ours-without-cameras": ("cameras=literal",),
}  # fmt: skip
"""What each method overrides in the default configuration."""
_LEAN: Final = ("outputs.overlay.enabled=false", "outputs.world.enabled=false")


def run_pixels(
    out: Path,
    *,
    scenes: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: range = range(1),
    report: Callable[[str], None] = lambda line: None,
) -> list[TableRow]:
    """Rows of the suite's table. Clips and finished stages under ``out`` are reused.

    Raises:
        ConfigError: an unknown scene or method.
    """
    names = choose(scenes, tuple(SUITE_SCENES), "scene")
    chosen = choose(methods, tuple(METHODS), "method")
    body = load_body(EMBEDDED_BODY)
    scores: dict[Case, dict[str, float | None]] = {}
    failures: dict[Case, str] = {}
    for name in names:
        for seed in seeds:
            scene = suite_scene(name, seed)
            truth = truth_of(scene, body)
            video = out / "clips" / f"{name}-{seed}.mp4"
            if not video.is_file():
                report(f"{name}-{seed}: rendering {scene.num_frames} frames")
                video.parent.mkdir(parents=True, exist_ok=True)
                with replacing(video) as temporary:
                    render_clip(scene, truth, body, temporary)
            for method in chosen:
                case = (name, seed, method)
                config = load_config([*METHODS[method], *_LEAN])
                try:
                    done = run_video(video, config, out=out / "runs" / method)
                except MultithumbsError as error:
                    failures[case] = f"{type(error).__name__}: {error}"
                    report(f"{name}-{seed}-{method}: {failures[case]}")
                    continue
                found = clip_scores(load_result(done.folder / RESULT), truth, body)
                scores[case] = {**found, SECONDS: done.seconds}
                report(f"{name}-{seed}-{method}: {done.seconds:.1f} s")
    return table_rows(SUITE, scores, failures, UNITS | {SECONDS: "s"})
