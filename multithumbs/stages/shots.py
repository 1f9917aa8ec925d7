"""Stage `shots`: the video's division into shots."""

from collections.abc import Callable, Iterable, Iterator

from multithumbs.config.shots import ShotsConfig
from multithumbs.types import Frame, Shots
from multithumbs.types.work import Work


def run(work: Work[ShotsConfig]) -> Shots:
    """Shots that tile the processed span: ``work.span`` where given, else the whole video."""
    from multithumbs.backends.shots.scenedetect import detect_shots

    start, end = work.span or (0, work.video.info.num_frames)
    frames = _reported(work.video.frames(start, end), end - start, work.progress)
    return detect_shots(frames, work.video.info, work.config)


def _reported(
    frames: Iterable[Frame], total: int, progress: Callable[[int, int], None]
) -> Iterator[Frame]:
    for done, frame in enumerate(frames, start=1):
        yield frame
        progress(done, total)
