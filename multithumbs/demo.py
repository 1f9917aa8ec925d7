"""`multithumbs demo`: a clip whose truth is known, processed from its pixels alone, and scored."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from multithumbs import render, synth
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.root import Config
from multithumbs.errors import ConfigError
from multithumbs.evaluation.score import save_score, score
from multithumbs.io.atomic import replacing
from multithumbs.io.video_index import file_sha256
from multithumbs.pipeline import Run, run_video
from multithumbs.runner import Progress, available_cores, locked
from multithumbs.synth.clip import render_clip
from multithumbs.synth.demo import demo_scene
from multithumbs.synth.scene import Scene
from multithumbs.synth.truth import Truth, truth_of

FOLDER: Final = "demo"
CLIP: Final = "demo.mp4"
TRUTH: Final = "truth.npz"
STAMP: Final = "made_from.json"
SCORE: Final = "score.json"


def run_demo(
    config: Config,
    *,
    out: Path,
    until: str | None = None,
    redo: Sequence[str] = (),
    progress: Progress,
    scene: Scene | None = None,
) -> Run:
    """Make ``out/demo/demo.mp4`` unless it is there, run the pipeline on it, write `score.json`.

    Args:
        config: of the pipeline; it sees the clip's pixels and nothing of its truth.
        out: parent of all that is written.
        until: last stage; without the result there is no score.
        redo: stages to compute even if they are known.
        progress: told what happens.
        scene: another scene than the demo's.

    Raises:
        ConfigError: the configuration asks for another body than the clip's.
        MultithumbsError: as `multithumbs.pipeline.run_video`.
    """
    if config.body_model.name != "embedded":
        raise ConfigError(
            f"the demo is played by the embedded body and scored with it, not with "
            f"body_model={config.body_model.name}; leave body_model out"
        )
    body = load_body(EMBEDDED_BODY)
    folder = out / FOLDER
    with locked(folder):
        truth = _make(scene or demo_scene(), body, folder, config, progress)
    done = run_video(
        folder / CLIP,
        config,
        out=out,
        until=until,
        redo=redo,
        progress=progress,
        scorer=lambda result: score(result, truth, body),
    )
    if done.score is not None:
        save_score(done.score, done.folder / SCORE)
    return done


def _make(scene: Scene, body: BodyModel, folder: Path, config: Config, progress: Progress) -> Truth:
    """The clip and its truth, made again only if something they follow from has changed."""
    source = _source_sha256(scene, body)
    if not _is_made(folder, source):
        progress.note(f"rendering {scene.num_frames} frames to {folder / CLIP}")
        truth = truth_of(scene, body)
        threads = config.runtime.threads or available_cores()
        with replacing(folder / CLIP) as clip:
            render_clip(scene, truth, body, clip, device=config.runtime.device, threads=threads)
        with replacing(folder / TRUTH) as file:
            truth.save(file)
        files = {name: file_sha256(folder / name) for name in (CLIP, TRUTH)}
        with replacing(folder / STAMP) as file:
            file.write_text(json.dumps({"source": source, "files": files}, indent=1) + "\n")
    return Truth.load(folder / TRUTH)


def _is_made(folder: Path, source: str) -> bool:
    try:
        stamp = json.loads((folder / STAMP).read_text())
        files = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (CLIP, TRUTH)
        }
    except (OSError, ValueError):
        return False
    return stamp == {"source": source, "files": files}


def _source_sha256(scene: Scene, body: BodyModel) -> str:
    """Digest of all that a clip follows from: scene, body, and the code that plays it."""
    digest = hashlib.sha256(f"{scene!r} {body.sha256}".encode())
    for package in (synth, render):
        for path in sorted(Path(next(iter(package.__path__))).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
