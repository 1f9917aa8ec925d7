"""The whole configuration: one field per stage, and what surrounds the stages."""

from typing import Any

from pydantic import model_validator

from multithumbs.config.alignment import AlignmentConfig
from multithumbs.config.base import StageConfig
from multithumbs.config.bodies import BodiesConfig
from multithumbs.config.body_model import BodyModelConfig
from multithumbs.config.boundaries import BoundariesConfig
from multithumbs.config.cameras import CamerasConfig
from multithumbs.config.detections import DetectionsConfig
from multithumbs.config.identities import IdentitiesConfig
from multithumbs.config.intrinsics import IntrinsicsConfig
from multithumbs.config.keypoints import KeypointsConfig
from multithumbs.config.masks import MasksConfig
from multithumbs.config.odometry import OdometryConfig
from multithumbs.config.outputs import OutputsConfig
from multithumbs.config.people import PeopleConfig
from multithumbs.config.runtime import RuntimeConfig
from multithumbs.config.shots import ShotsConfig
from multithumbs.config.textures import TexturesConfig
from multithumbs.config.tracks import TracksConfig
from multithumbs.config.video import VideoConfig


class Config(StageConfig):
    """What `multithumbs.config.compose.load_config` makes of ``configs/`` and overrides.

    Back-ends are chosen by the files of ``configs/``; their values' defaults are here.
    """

    profile: str
    """Name of the file in ``configs/profile`` that chose the back-ends."""
    body_model: BodyModelConfig
    shots: ShotsConfig
    detections: DetectionsConfig
    keypoints: KeypointsConfig
    intrinsics: IntrinsicsConfig
    masks: MasksConfig
    bodies: BodiesConfig
    tracks: TracksConfig
    textures: TexturesConfig
    boundaries: BoundariesConfig
    alignment: AlignmentConfig
    odometry: OdometryConfig
    cameras: CamerasConfig
    identities: IdentitiesConfig
    people: PeopleConfig
    video: VideoConfig = VideoConfig()
    outputs: OutputsConfig = OutputsConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @model_validator(mode="before")
    @classmethod
    def _resolved(cls, raw: Any) -> Any:
        """``auto`` becomes what it stands for, so that keys and results hold the choice.

        Meshes can be rendered where neither the bodies nor their cameras wait for keypoints.
        """
        if not isinstance(raw, dict):
            return raw
        names = {k: v.get("name") for k, v in raw.items() if isinstance(v, dict)}
        changed = {}
        hmr2 = names.get("bodies") == "hmr2"
        if names.get("keypoints") == "vitpose" and raw["keypoints"].get("boxes", "auto") == "auto":
            first = hmr2 and names.get("intrinsics") != "people"
            changed["keypoints"] = {"boxes": "meshes" if first else "detections"}
        by_boxes = names.get("masks") in ("sam", "sam2", "segment_anything")
        if by_boxes and raw["masks"].get("assign_by_mesh") is None:
            changed["masks"] = {"assign_by_mesh": hmr2}
        if names.get("tracks") == "phalp" and raw["tracks"].get("atlas", "auto") == "auto":
            tables = names.get("body_model") == "smpl"
            changed["tracks"] = {"atlas": "phalp" if tables else "body"}
        if names.get("boundaries") == "vggt" and names.get("alignment") == "lm":
            together = {"verify": True, "rescue_failed": True} | raw["alignment"].get(
                "together", {}
            )
            if together.get("enabled", True):
                # `alignment` judges by adjusted people whether a cut is one place: not before it.
                judged = {"required": not together["verify"]}
                common_place = judged | raw["boundaries"].get("common_place", {})
                changed["alignment"] = {"together": together}
                changed["boundaries"] = {"common_place": common_place}
        return raw | {section: raw[section] | values for section, values in changed.items()}

    @model_validator(mode="after")
    def _body_of_hmr2(self) -> "Config":
        if self.bodies.name == "hmr2" and self.body_model.name != "smpl":
            raise ValueError(
                "bodies=hmr2 gives the parameters of SMPL: write body_model=smpl (a licensed body, "
                "see `multithumbs doctor profile=paper`), or bodies=fit"
            )
        return self
