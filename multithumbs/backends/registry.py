"""The weight files there are: what each is, where it comes from, under which licence.

Sources are tried in order; the publisher's own come first, then copies that others keep. Sizes
are the publisher's (rounded where the publisher rounds), hashes those that are published or
that independent users of the file agree on; without one the first download is trusted,
recorded, and checked afterwards.
"""

import os
from dataclasses import dataclass
from typing import Final

from multithumbs.io.archives import ArchiveMember
from multithumbs.io.download import HubFile, Source, UrlSource, WheelMember

EMBEDDED: Final = "embedded"
PAPER: Final = "paper"
ALTERNATIVES: Final = "alternatives"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One weight file."""

    name: str
    filename: str
    description: str
    profile: str
    """The profile that needs it; ``alternatives`` where a profile's stage may use it instead."""
    licence: str
    size_bytes: int = 0
    """0 where unknown."""
    sha256: str | None = None
    """None where the publisher gives none: trusted on first use, recorded, checked afterwards."""
    sources: tuple[Source, ...]
    """None where only registered people may download it."""
    by_hand: str
    """How a person gets the file, as a command: ``open ... and download ...``."""


_BERKELEY: Final = "https://people.eecs.berkeley.edu/~jathushan/projects"
_TEXAS: Final = "https://www.cs.utexas.edu/~pavlakos"
_META: Final = "https://dl.fbaipublicfiles.com"
_EASY_VITPOSE: Final = "JunkyByte/easy_ViTPose"
_MEDIAPIPE_VERSION: Final = "0.10.21"
_NO_SEPARATE: Final = "no separate licence for the weights"


def _mediapipe(
    name: str,
    description: str,
    *,
    folder: str,
    filename: str,
    generation: int,
    size_bytes: int,
    sha256: str,
) -> Checkpoint:
    """A network of the embedded profile, which MediaPipe's wheel holds."""
    member = f"mediapipe/modules/{folder}/{filename}"
    asset = f"https://storage.googleapis.com/mediapipe-assets/{filename}?generation={generation}"
    wheel = WheelMember(f"mediapipe=={_MEDIAPIPE_VERSION}", "3.11", "manylinux_2_28_x86_64", member)
    return Checkpoint(
        name=name,
        filename=filename,
        description=description,
        profile=EMBEDDED,
        licence="Apache-2.0",
        size_bytes=size_bytes,
        sha256=sha256,
        sources=(wheel, UrlSource(asset)),
        by_hand=f"take {member} out of the wheel mediapipe {_MEDIAPIPE_VERSION}",
    )


def _hub(repository: str, filename: str) -> tuple[Source, ...]:
    """A public file of Hugging Face, or of the mirror that ``$HF_ENDPOINT`` names."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return (UrlSource(f"{endpoint}/{repository}/resolve/main/{filename}"),)


_HMR2_MEMBER: Final = "logs/train/multiruns/hmr2/0/checkpoints/epoch=35-step=1000000.ckpt"

ENTRIES: Final = (
    _mediapipe(
        "blazepose-detector",
        "BlazePose person detector, 224x224",
        folder="pose_detection",
        filename="pose_detection.tflite",
        generation=1678737489600422,
        size_bytes=2_959_046,
        sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    _mediapipe(
        "blazepose-landmarks",
        "BlazePose landmarks (full), 256x256, 2D, metric 3D and segmentation",
        folder="pose_landmark",
        filename="pose_landmark_full.tflite",
        generation=1661875894245786,
        size_bytes=6_440_512,
        sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    _mediapipe(
        "face-landmarks",
        "MediaPipe's face landmarks, 192x192: whether a head shows its face",
        folder="face_landmark",
        filename="face_landmark.tflite",
        generation=1676316347980492,
        size_bytes=1_242_398,
        sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    Checkpoint(
        name="grounding-dino-tiny",
        filename="model.safetensors",
        description="Grounding DINO, Swin-T: people by the word 'person'",
        profile=PAPER,
        licence="Apache-2.0",
        size_bytes=689_359_096,
        sha256="1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3",
        sources=_hub("IDEA-Research/grounding-dino-tiny", "model.safetensors"),
        by_hand="download model.safetensors from "
        "https://huggingface.co/IDEA-Research/grounding-dino-tiny",
    ),
    Checkpoint(
        name="grounding-dino-base",
        filename="model.safetensors",
        description="Grounding DINO, Swin-B",
        profile=ALTERNATIVES,
        licence="Apache-2.0",
        size_bytes=933_400_872,
        sources=_hub("IDEA-Research/grounding-dino-base", "model.safetensors"),
        by_hand="download model.safetensors from "
        "https://huggingface.co/IDEA-Research/grounding-dino-base",
    ),
    Checkpoint(
        name="rtdetr-r50",
        filename="model.safetensors",
        description="RT-DETR, ResNet-50: the fast detector",
        profile=ALTERNATIVES,
        licence="Apache-2.0",
        sources=_hub("PekingU/rtdetr_r50vd", "model.safetensors"),
        by_hand="download model.safetensors from https://huggingface.co/PekingU/rtdetr_r50vd",
    ),
    Checkpoint(
        name="vitpose-h-wholebody",
        filename="vitpose-h-wholebody.pth",
        description="ViTPose-H, 133 keypoints (23 are used)",
        profile=PAPER,
        licence=f"Apache-2.0 (code; {_NO_SEPARATE})",
        sources=_hub(_EASY_VITPOSE, "torch/wholebody/vitpose-h-wholebody.pth"),
        by_hand="split ViTPose++-H of https://github.com/ViTAE-Transformer/ViTPose (OneDrive) with "
        "its tools/model_split.py, or download torch/wholebody/vitpose-h-wholebody.pth from "
        f"https://huggingface.co/{_EASY_VITPOSE}",
    ),
    Checkpoint(
        name="vitpose-h-coco",
        filename="vitpose-h-coco.pth",
        description="ViTPose-H, 17 keypoints",
        profile=ALTERNATIVES,
        licence=f"Apache-2.0 (code; {_NO_SEPARATE})",
        sources=_hub(_EASY_VITPOSE, "torch/coco/vitpose-h-coco.pth"),
        by_hand="download ViTPose-H from the table of "
        "https://github.com/ViTAE-Transformer/ViTPose (OneDrive)",
    ),
    Checkpoint(
        name="sam2.1-hiera-l",
        filename="sam2.1_hiera_large.pt",
        description="SAM 2.1, Hiera-L: masks from boxes",
        profile=PAPER,
        licence="Apache-2.0",
        size_bytes=898_083_611,
        sha256="2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        sources=(
            UrlSource(f"{_META}/segment_anything_2/092824/sam2.1_hiera_large.pt"),
            *_hub("facebook/sam2.1-hiera-large", "sam2.1_hiera_large.pt"),
        ),
        by_hand=f"download {_META}/segment_anything_2/092824/sam2.1_hiera_large.pt",
    ),
    Checkpoint(
        name="sam-vit-h",
        filename="sam_vit_h_4b8939.pth",
        description="SAM, ViT-H: masks from boxes",
        profile=ALTERNATIVES,
        licence="Apache-2.0",
        size_bytes=2_564_550_879,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        sources=(UrlSource(f"{_META}/segment_anything/sam_vit_h_4b8939.pth"),),
        by_hand=f"download {_META}/segment_anything/sam_vit_h_4b8939.pth",
    ),
    Checkpoint(
        name="hmr2",
        filename="epoch=35-step=1000000.ckpt",
        description="HMR2.0b of 4DHumans: SMPL from a crop",
        profile=PAPER,
        licence=f"MIT (code; {_NO_SEPARATE}); the SMPL body has its own licence",
        sources=tuple(
            ArchiveMember(UrlSource(url), _HMR2_MEMBER)
            for url in (
                f"{_BERKELEY}/4dhumans/hmr2_data.tar.gz",
                f"{_TEXAS}/4dhumans/hmr2_data.tar.gz",
            )
        ),
        by_hand=f"download {_BERKELEY}/4dhumans/hmr2_data.tar.gz, take {_HMR2_MEMBER} out of it",
    ),
    Checkpoint(
        name="phalp-hmar",
        filename="hmar_v2_weights.pth",
        description="PHALP's appearance encoder",
        profile=PAPER,
        licence=f"MIT (code; {_NO_SEPARATE})",
        sources=(
            UrlSource(f"{_BERKELEY}/phalp/weights/hmar_v2_weights.pth"),
            UrlSource(f"{_TEXAS}/phalp/weights/hmar_v2_weights.pth"),
        ),
        by_hand=f"download {_BERKELEY}/phalp/weights/hmar_v2_weights.pth",
    ),
    Checkpoint(
        name="phalp-texel-faces",
        filename="fmap_256.npy",
        description="which of SMPL's faces each texel of PHALP's UV map shows",
        profile=PAPER,
        licence="no licence statement; the map belongs to SMPL (Max Planck, non-commercial)",
        sources=(
            UrlSource(f"{_BERKELEY}/phalp/fmap_256.npy"),
            UrlSource(f"{_TEXAS}/phalp/fmap_256.npy"),
        ),
        by_hand=f"download {_BERKELEY}/phalp/fmap_256.npy",
    ),
    Checkpoint(
        name="phalp-texel-weights",
        filename="bmap_256.npy",
        description="where in that face each texel of PHALP's UV map lies",
        profile=PAPER,
        licence="no licence statement; the map belongs to SMPL (Max Planck, non-commercial)",
        sources=(
            UrlSource(f"{_BERKELEY}/phalp/bmap_256.npy"),
            UrlSource(f"{_TEXAS}/phalp/bmap_256.npy"),
        ),
        by_hand=f"download {_BERKELEY}/phalp/bmap_256.npy",
    ),
    Checkpoint(
        name="phalp-pose-predictor",
        filename="pose_predictor_40006.ckpt",
        description="PHALP's predictor of poses",
        profile=ALTERNATIVES,
        licence=f"MIT (code; {_NO_SEPARATE})",
        sources=(
            UrlSource(f"{_BERKELEY}/phalp/weights/pose_predictor_40006.ckpt"),
            UrlSource(f"{_TEXAS}/phalp/weights/pose_predictor_40006.ckpt"),
        ),
        by_hand=f"download {_BERKELEY}/phalp/weights/pose_predictor_40006.ckpt",
    ),
    Checkpoint(
        name="phalp-pose-statistics",
        filename="mean_std.npy",
        description="what PHALP's predictor of poses scales its input by",
        profile=ALTERNATIVES,
        licence=f"MIT (code; {_NO_SEPARATE})",
        sources=(
            UrlSource(f"{_BERKELEY}/phalp/3D/mean_std.npy"),
            UrlSource(f"{_TEXAS}/phalp/3D/mean_std.npy"),
        ),
        by_hand=f"download {_BERKELEY}/phalp/3D/mean_std.npy",
    ),
    Checkpoint(
        name="vggt-1b",
        filename="model.safetensors",
        description="VGGT-1B: cameras and depth of the frames at a cut",
        profile=PAPER,
        licence="non-commercial (VGGT-1B's own licence, https://huggingface.co/facebook/VGGT-1B)",
        size_bytes=5_030_000_000,
        sources=_hub("facebook/VGGT-1B", "model.safetensors"),
        by_hand="download model.safetensors from https://huggingface.co/facebook/VGGT-1B",
    ),
    Checkpoint(
        name="vggt-1b-commercial",
        filename="vggt_1B_commercial.pt",
        description="VGGT-1B-Commercial: the same network, trained for commercial use",
        profile=ALTERNATIVES,
        licence="VGGT License v1 (commercial use but no military use; to be accepted there)",
        sources=(HubFile("facebook/VGGT-1B-Commercial", "vggt_1B_commercial.pt"),),
        by_hand="accept the licence at https://huggingface.co/facebook/VGGT-1B-Commercial (then "
        "`hf auth login` lets `checkpoints fetch` do it), download vggt_1B_commercial.pt",
    ),
    Checkpoint(
        name="droid",
        filename="droid.pth",
        description="DROID-SLAM: the camera's path inside a shot",
        profile=PAPER,
        licence=f"BSD-3-Clause (code; {_NO_SEPARATE})",
        size_bytes=16_000_000,
        sources=(
            UrlSource(
                "https://drive.google.com/uc?export=download&id=1PpqVt1H4maBa_GbPJp4NwxRsd9jk-elh"
            ),
            *_hub("vslamlab/droidslam", "droid.pth"),
        ),
        by_hand="download https://drive.google.com/file/d/1PpqVt1H4maBa_GbPJp4NwxRsd9jk-elh/view",
    ),
    Checkpoint(
        name="vposer",
        filename="V02_05_epoch=13_val_loss=0.03.ckpt",
        description="VPoser v2: how bodies can be posed",
        profile=PAPER,
        licence="Max Planck, non-commercial scientific research (https://smpl-x.is.tue.mpg.de)",
        sources=(),
        by_hand="register at https://smpl-x.is.tue.mpg.de, download VPoser v2 (or do without: "
        "people.pose_prior=limits), take "
        "V02_05/snapshots/V02_05_epoch=13_val_loss=0.03.ckpt out of it",
    ),
)
