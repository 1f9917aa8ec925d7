#!/usr/bin/env python
"""Two-shot clips whose true relation is known, out of real one-shot footage.

    scripts/make_virtual_cuts.py VIDEO OUT.mp4 --cut 100 --yaw 6 --pitch 1 --roll 2 --zoom 1.5
    scripts/make_virtual_cuts.py A.jpg B.jpg OUT.mp4          # holds each image for a second

A virtual camera turns and zooms about the real camera's centre, so a pixel of the second shot
is ``K2 R K1^-1`` of the real one (a homography): the people must keep their places and
identities, and the camera must not move. ``OUT.json`` holds the truth. K1's focal length is
assumed to be the image diagonal unless ``--focal`` gives it.
"""

import argparse
import json
import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from multithumbs.io.video import Video
from multithumbs.io.video_writer import writing_video

IMAGES = {".jpg", ".jpeg", ".png"}


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """``after_from_before`` of a camera that pans right, tilts up and rolls clockwise (degrees)."""
    y, x, z = (math.radians(angle) for angle in (yaw, pitch, roll))
    about = [cv2.Rodrigues(np.array(v))[0] for v in ((0, 0, -z), (-x, 0, 0), (0, -y, 0))]
    return about[0] @ about[1] @ about[2]


def intrinsics(focal: float, hw: tuple[int, int]) -> np.ndarray:
    return np.array([[focal, 0, hw[1] / 2], [0, focal, hw[0] / 2], [0, 0, 1.0]])


def centre_to_corner(homography: np.ndarray) -> np.ndarray:
    """OpenCV puts pixel centres at integers; ours are at (0.5, 0.5)."""
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    return np.linalg.inv(shift) @ homography @ shift


def virtual_cut(source: Path, out: Path, args: argparse.Namespace) -> dict[str, object]:
    video = Video(source)
    hw = video.info.hw
    end = min(args.end or video.info.num_frames, video.info.num_frames)
    focal = args.focal or math.hypot(*hw)
    K1, K2 = intrinsics(focal, hw), intrinsics(focal * args.zoom, hw)
    after_from_before = rotation(args.yaw, args.pitch, args.roll)
    homography = K2 @ after_from_before @ np.linalg.inv(K1)
    warp = centre_to_corner(homography)
    with writing_video(out, hw=hw, frame_rate=video.info.frame_rate, crf=14) as writer:
        for frame in video.frames(args.start, end):
            rgb = frame.rgb
            if frame.index >= args.cut:
                rgb = cv2.warpPerspective(rgb, warp, hw[::-1], flags=cv2.INTER_LANCZOS4)
            writer.write(rgb)
    return {
        "source": source.name,
        "cut": args.cut - args.start,
        "K1": K1.tolist(),
        "K2": K2.tolist(),
        "after_from_before": after_from_before.tolist(),
        "homography": homography.tolist(),
    }


def held_images(images: list[Path], out: Path, seconds: float) -> dict[str, object]:
    rgb = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in images]
    frames = round(30 * seconds)
    with writing_video(out, hw=rgb[0].shape[:2], frame_rate=Fraction(30), crf=14) as writer:
        for image in rgb:
            for _ in range(frames):
                writer.write(image)
    return {"source": [path.name for path in images], "cut": frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="+", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cut", type=int, default=100, help="first frame of the second shot")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--end", type=int, default=None)
    parser.add_argument("--yaw", type=float, default=6.0, help="degrees to the right")
    parser.add_argument("--pitch", type=float, default=1.0, help="degrees up")
    parser.add_argument("--roll", type=float, default=2.0, help="degrees clockwise")
    parser.add_argument("--zoom", type=float, default=1.5)
    parser.add_argument("--focal", type=float, default=None, help="pixels")
    parser.add_argument("--hold", type=float, default=1.0, help="seconds of each image")
    args = parser.parse_args()
    if args.source[0].suffix.lower() in IMAGES:
        truth = held_images(args.source, args.out, args.hold)
    else:
        truth = virtual_cut(args.source[0], args.out, args)
    args.out.with_suffix(".json").write_text(json.dumps(truth, indent=1))


if __name__ == "__main__":
    main()
