"""The whole configuration: one field per stage, and what surrounds the stages."""

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
