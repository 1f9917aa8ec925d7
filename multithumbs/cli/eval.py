"""`eval`: a dataset's sequences through the pipeline (or another program's results), scored."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from multithumbs.cli.console import answers
from multithumbs.config.compose import load_config
from multithumbs.config.root import Config
from multithumbs.errors import CheckpointError, ConfigError, MultithumbsError
from multithumbs.runner.progress import Progress
from multithumbs.runner.reporters import choose_reporter

if TYPE_CHECKING:  # these import torch, and typos must be answered at once
    from multithumbs.body import BodyModel
    from multithumbs.evaluation.datasets.evaluate import Predict
    from multithumbs.evaluation.datasets.options import Options
    from multithumbs.evaluation.datasets.scoring import Sights
    from multithumbs.evaluation.datasets.sequence import Bodies, EvalSequence

VIDEOS = "videos"
RUNS = "runs"
SCORES = "scores"
SCORES_ONLY = tuple(
    f"outputs.{name}.enabled=false" for name in ("overlay", "world", "report", "glb")
)
"""What nobody looks at is not made, unless it is asked for."""


def evaluate_dataset(arguments: argparse.Namespace) -> int:
    """Run, score, print the paper's tables; the exit code says whether a sequence failed."""
    if (arguments.results is None) != (arguments.program is None):
        raise ConfigError("--results DIR and --program NAME belong together: give both")
    method = arguments.program or arguments.method
    if not method.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"--method {method}: expected letters, digits, '-' and '_'")
    config = load_config([*SCORES_ONLY, *arguments.overrides])
    from multithumbs.evaluation.datasets.evaluate import chosen, evaluate
    from multithumbs.evaluation.datasets.registry import dataset_of
    from multithumbs.evaluation.datasets.report import (
        MethodScores,
        load_scores,
        protocol_lines,
        report,
        save_scores,
    )
    from multithumbs.evaluation.tables import ALL, check_writable, markdown, save_tables

    dataset = dataset_of(arguments.dataset)
    _check_program(arguments.program, arguments.results)
    check_writable(arguments.out)
    found = chosen(dataset.find(arguments.root), arguments.sequences, arguments.limit)
    options = _options(arguments, config, smpl=dataset.has_truth or arguments.program is not None)
    progress = choose_reporter(json_log=arguments.json_log)
    try:
        if arguments.videos_only:
            return _write_videos(arguments, found, options, progress)
        predict = (
            _theirs(arguments, options.bodies)
            if arguments.program
            else _ours(arguments, config, progress)
        )
        done = evaluate(dataset, found, options, predict, progress.note)
    finally:
        progress.close()
    mine = MethodScores(
        dataset=arguments.dataset,
        method=method,
        protocol=_protocol(arguments, options, multi_view=dataset.multi_view),
        scores=done.scores,
        failures=done.failures,
        notes=done.notes,
    )
    save_scores(mine, arguments.out / SCORES)
    tables = report(mine, load_scores(arguments.out / SCORES))
    title = f"# {dataset.title}\n\n{protocol_lines(mine.protocol)}\n\n"
    save_tables(tables.rows, arguments.out, f"{title}{tables.text}\n## All metrics\n\n")
    console = answers()
    console.print(title + tables.text)
    console.print(markdown([row for row in tables.rows if row.scene == ALL]))
    console.print(
        f"{arguments.out / 'table.md'}: {len(done.failures)} of {len(found)} sequences failed"
    )
    return 1 if done.failures else 0


def _check_program(program: str | None, results: Path | None) -> None:
    from multithumbs.evaluation.readers.peers import PEERS

    if program is not None and program not in PEERS:
        raise ConfigError(f"unknown program '{program}'; expected one of {', '.join(PEERS)}")
    if results is not None and not results.is_dir():
        raise ConfigError(f"no folder {results}: expected {program}'s results, one per sequence")


def _options(arguments: argparse.Namespace, config: Config, *, smpl: bool) -> "Options":
    from multithumbs.evaluation.datasets.multiview import Schedule
    from multithumbs.evaluation.datasets.options import Options
    from multithumbs.evaluation.datasets.sequence import Bodies

    default = Schedule()
    return Options(
        bodies=Bodies(
            neutral=_smpl(config) if smpl else _result_body(config),
            male=_gendered(arguments.male, arguments.out),
            female=_gendered(arguments.female, arguments.out),
        ),
        schedule=Schedule(
            shot_frames=arguments.shot_frames or default.shot_frames,
            frames=arguments.frames or default.frames,
            seed=arguments.seed,
            views=tuple(arguments.views.split(",")) if arguments.views else (),
        ),
        frames=arguments.frames,
        fps=arguments.fps,
        height=arguments.height,
    )


def _protocol(
    arguments: argparse.Namespace, options: "Options", *, multi_view: bool
) -> dict[str, str]:
    """What must be equal for two methods to stand in one table."""
    shared = {
        "sequences": arguments.sequences,
        "limit": str(arguments.limit or ""),
        "frames": str(arguments.frames or ""),
        "fps": str(arguments.fps or ""),
        "height": str(arguments.height or ""),
    }
    if not multi_view:
        return shared
    schedule = options.schedule
    return shared | {
        "frames": str(schedule.frames),
        "shot_frames": str(schedule.shot_frames),
        "seed": str(schedule.seed),
        "views": ",".join(schedule.views),
    }


def _smpl(config: Config) -> "BodyModel":
    """The licensed body that the truth and other programs' results are of."""
    from multithumbs.backends.checkpoints import default_root
    from multithumbs.backends.needs import SMPL_REMEDY, body_path
    from multithumbs.body import load_body

    root = config.runtime.checkpoints or default_root()
    path = body_path(config) or root / "smpl" / "smpl.npz"
    if not path.is_file():
        raise CheckpointError(f"datasets are scored with the SMPL body {path}: {SMPL_REMEDY}")
    return load_body(path)


def _result_body(config: Config) -> "BodyModel":
    from multithumbs.backends.needs import body_path
    from multithumbs.body import EMBEDDED_BODY, load_body

    return load_body(body_path(config) or EMBEDDED_BODY)


def _gendered(path: Path | None, out: Path) -> "BodyModel | None":
    """A body file, or SMPL's own pickle, which is imported below ``out`` first."""
    from multithumbs.body import load_body
    from multithumbs.body.safe_import import import_smpl

    if path is not None and path.suffix == ".pkl":
        imported = out / "bodies" / f"{path.stem}.npz"
        import_smpl(path, imported)
        path = imported
    return None if path is None else load_body(path)


def _video(sequence: "EvalSequence", out: Path) -> Path:
    """The sequence's own video, or the one made of its pictures."""
    from multithumbs.evaluation.datasets.encode import encode

    if sequence.video is not None:
        return sequence.video
    path = out / VIDEOS / f"{sequence.name}.mp4"
    encode(sequence, path)
    return path


def _write_videos(
    arguments: argparse.Namespace, found: dict[str, Path], options: "Options", progress: Progress
) -> int:
    """What other programs are to be run on; failures do not stop it, the exit code tells."""
    from multithumbs.evaluation.datasets.registry import dataset_of, load_sequence

    failed = 0
    for name, path in found.items():
        try:
            sequence = load_sequence(dataset_of(arguments.dataset), name, path, options)
            progress.note(f"{name}: {_video(sequence, arguments.out)}")
        except MultithumbsError as error:
            failed += 1
            progress.note(f"{name} failed: {' '.join(str(error).split())}")
    answers().print(
        f"videos of {len(found) - failed} of {len(found)} sequences in {arguments.out / VIDEOS}"
    )
    return 1 if failed else 0


def _ours(arguments: argparse.Namespace, config: Config, progress: Progress) -> "Predict":
    from multithumbs.evaluation.datasets.scoring import Prediction, Sights
    from multithumbs.evaluation.scene import Scene
    from multithumbs.export.result import load_result
    from multithumbs.pipeline import run_video

    body: BodyModel = _result_body(config)

    def predict(sequence: "EvalSequence") -> tuple[Prediction, Sights | None]:
        video = _video(sequence, arguments.out)
        done = run_video(
            video, config, out=arguments.out / RUNS, redo=arguments.redo, progress=progress
        )
        prediction = Prediction(
            scene=Scene.of_result(load_result(done.folder / "result.npz")),
            body=body,
            is_smpl=config.body_model.name == "smpl",
        )
        return prediction, _sights(done.folder) if sequence.truth is None else None

    return predict


def _sights(run: Path) -> "Sights | None":
    """What our detector saw in a video that the pipeline ran on; None where it did not."""
    from multithumbs.evaluation.datasets.scoring import sights_of
    from multithumbs.export.result import load_result

    if not (run / "result.npz").is_file():
        return None
    result = load_result(run / "result.npz")
    shots = zip(result.shot_start.tolist(), result.shot_end.tolist(), strict=True)
    return sights_of(run / "stages", shots)


def _theirs(arguments: argparse.Namespace, bodies: "Bodies") -> "Predict":
    from multithumbs.evaluation.datasets.result_files import OF_SMPL, result_of
    from multithumbs.evaluation.datasets.scoring import Prediction, Sights
    from multithumbs.evaluation.readers.peers import Clip, read_peer
    from multithumbs.io.video import Video
    from multithumbs.io.video_index import file_sha256
    from multithumbs.runner import clip_folder

    def predict(sequence: "EvalSequence") -> tuple[Prediction, Sights | None]:
        path = result_of(arguments.program, sequence.name, arguments.results)
        count, sights = len(sequence.frames), None
        if sequence.video is not None:
            count = Video(sequence.video).info.num_frames
            sha256 = file_sha256(sequence.video)
            sights = _sights(clip_folder(arguments.out / RUNS, sequence.video, sha256))
        clip = Clip(hw=sequence.hw, fps=sequence.fps, num_frames=count)
        prediction = Prediction(
            scene=read_peer(arguments.program, path, clip, bodies.neutral),
            body=bodies.neutral,
            is_smpl=arguments.program in OF_SMPL,
        )
        return prediction, sights

    return predict
