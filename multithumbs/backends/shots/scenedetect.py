"""`Shots` by PySceneDetect's detectors, fed with our own frames."""

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from scenedetect import FrameTimecode, StatsManager
from scenedetect.detectors import AdaptiveDetector

from multithumbs.backends.shots.transitions import Blend, find_dissolves, find_fades, is_flash
from multithumbs.config.shots import ShotsConfig
from multithumbs.types import Frame, Shots, Transition, VideoInfo

THUMBNAIL_HW = (18, 32)
WEIGHTS = AdaptiveDetector.Components(delta_hue=0.0, delta_sat=0.5, delta_lum=1.0)
"""No hue: that of grey and dark pixels is noise, and PySceneDetect weighs it fully."""


def detect_shots(frames: Iterable[Frame], info: VideoInfo, config: ShotsConfig) -> Shots:
    """Shots of the span that ``frames`` streams (consecutive, at least one)."""
    rate = float(info.frame_rate)
    start, score, is_cut, thumbnails = _measure(frames, rate, config)
    shortest = max(config.min_shot_frames, round(config.min_shot_s * rate))
    longest = max(1, round(config.max_transition_s * rate))
    fades = find_fades(thumbnails, longest, shortest, config)
    blends = fades + [
        dissolve
        for dissolve in find_dissolves(thumbnails, longest, config)
        if not any(f.start < dissolve.end and dissolve.start < f.end for f in fades)
    ]
    cuts = [
        cut
        for cut in candidate_cuts(score, is_cut, config)
        if not is_flash(thumbnails, cut, shortest, config)
    ]
    return assemble(start, score, cuts, blends, shortest)


def _measure(
    frames: Iterable[Frame], rate: float, config: ShotsConfig
) -> tuple[int, Float64[np.ndarray, " F"], set[int], UInt8[np.ndarray, "F h w"]]:
    """First frame; score, PySceneDetect's adaptive cuts and thumbnails, counted from it."""
    detector = AdaptiveDetector(
        adaptive_threshold=config.adaptive_ratio,
        min_scene_len=0,
        window_width=config.adaptive_window,
        min_content_val=config.adaptive_min_score,
        weights=WEIGHTS,
    )
    detector.stats_manager = stats = StatsManager()
    stats.register_metrics(detector.get_metrics())
    start, cuts, thumbnails = -1, set(), []
    for count, frame in enumerate(frames):
        start = frame.index if start < 0 else start
        height, width = frame.rgb.shape[:2]
        scale = min(1.0, config.width_px / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA)
        time = FrameTimecode(count, fps=rate)
        cuts |= {c.frame_num for c in detector.process_frame(time, small[..., ::-1])}
        thumbnails.append(
            cv2.resize(
                cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
                THUMBNAIL_HW[::-1],
                interpolation=cv2.INTER_AREA,
            )
        )
    key = AdaptiveDetector.FRAME_SCORE_KEY
    score = [
        stats.get_metrics(FrameTimecode(i, fps=rate), [key])[0] for i in range(len(thumbnails))
    ]
    return start, np.array([s or 0.0 for s in score]), cuts, np.stack(thumbnails)


def candidate_cuts(
    score: Float64[np.ndarray, " F"], is_cut: set[int], config: ShotsConfig
) -> list[int]:
    """Adaptive cuts, and content cuts that stand out from their neighbours.

    PySceneDetect's window needs neighbours on both sides; near the ends of the span the ones
    that exist decide.
    """
    window = config.adaptive_window
    cuts = []
    for at in range(1, len(score)):
        around = np.r_[score[max(at - window, 1) : at], score[at + 1 : at + window + 1]]
        typical = around.mean() if len(around) else 0.0
        near_end = at <= window or at >= len(score) - window
        adaptive = score[at] >= max(config.adaptive_ratio * typical, config.adaptive_min_score)
        content = score[at] >= max(config.content_ratio * typical, config.content_score)
        if at in is_cut or content or (near_end and adaptive):
            cuts.append(at)
    return cuts


def assemble(
    start: int,
    score: Float64[np.ndarray, " F"],
    cuts: list[int],
    blends: list[Blend],
    shortest: int,
) -> Shots:
    """Shots from cuts and blends, both counted from ``start``; short shots are joined."""
    total = len(score)
    boundaries = {
        cut: (score[cut], Transition.CUT)
        for cut in cuts
        if not any(b.start <= cut <= b.end for b in blends)
    }
    for blend in blends:
        if blend.start > 0 and blend.end < total:
            kind = Transition.FADE if blend.is_fade else Transition.DISSOLVE
            boundaries[(blend.start + blend.end) // 2] = (np.inf, kind)
    joined: list[tuple[int, int]] = []
    while True:
        edges = [0, *sorted(boundaries), total]
        lengths = np.diff(edges)
        if len(lengths) == 1 or lengths.min() >= shortest:
            break
        short = int(lengths.argmin())
        joined.append((edges[short], edges[short + 1]))
        sides = [e for e in (edges[short], edges[short + 1]) if e in boundaries]
        del boundaries[min(sides, key=lambda e: boundaries[e][0])]
    starts, ends = np.array(edges[:-1], dtype=np.int64), np.array(edges[1:], dtype=np.int64)
    unclean = [(b.start, b.end) for b in blends] + joined
    clean = [_clean(int(a), int(b), unclean) for a, b in zip(starts, ends, strict=True)]
    return Shots(
        start=starts + start,
        end=ends + start,
        clean_start=np.array([c[0] for c in clean], dtype=np.int64) + start,
        clean_end=np.array([c[1] for c in clean], dtype=np.int64) + start,
        transition=np.array(
            [Transition.START, *(boundaries[e][1] for e in edges[1:-1])], dtype=np.int64
        ),
    )


def _clean(start: int, end: int, unclean: list[tuple[int, int]]) -> tuple[int, int]:
    """Longest stretch of ``[start, end)`` outside ``unclean``; all of it if nothing remains."""
    is_clean = np.ones(end - start, dtype=bool)
    for a, b in unclean:
        is_clean[max(a - start, 0) : max(b - start, 0)] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_clean, [False]]).astype(np.int8)))
    if len(edges) == 0:
        return start, end
    stretches = edges.reshape(-1, 2)
    first, last = stretches[np.diff(stretches, axis=1)[:, 0].argmax()]
    return start + int(first), start + int(last)
