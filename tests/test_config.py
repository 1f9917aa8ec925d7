"""Composition and validation: every file loads, every refusal is one helpful line."""

from pathlib import Path

import pytest
import yaml

from multithumbs.config.alignment import LmAlignmentConfig
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.config.compose import ROOT, config_folder, load_config, options
from multithumbs.config.explain import fields_at
from multithumbs.config.root import Config
from multithumbs.errors import ConfigError

FILES = sorted(p for p in config_folder().rglob("*.yaml") if p.parent != config_folder())
NEEDED = {
    "intrinsics=given": ("intrinsics.focal_px=1200",),
    "bodies=hmr2": ("body_model=smpl",),
}
"""Values without which an option makes no sense."""
GROUPS = sorted({p.parent.name for p in FILES})


def test_the_defaults_load_and_are_the_embedded_profile() -> None:
    config = load_config()
    assert config.profile == "embedded"
    assert config.body_model.name == "embedded"
    assert config == load_config(["profile=embedded"])


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_every_option_loads(path: Path) -> None:
    group, option = path.parent.name, path.stem
    needed = NEEDED.get(f"{group}={option}", ())
    config = load_config([f"{group}={option}", *needed])
    chosen = getattr(config, group)
    assert (chosen if group == "profile" else chosen.name) == option


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_files_choose_and_defaults_live_in_pydantic(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    if path.parent.name == "profile":
        # options, the machine's side, and what all back-ends of a stage understand
        assert set(content) <= {"profile", "defaults", "runtime", "people"}
        assert content["profile"] == path.stem
        for line in content.get("defaults", []):
            ((group, option),) = line.items()
            assert option in options(group.removeprefix("override /"))
    else:
        assert content == {"name": path.stem}


def test_every_default_names_an_option() -> None:
    content = yaml.safe_load((config_folder() / f"{ROOT}.yaml").read_text())
    chosen = dict(next(iter(d.items())) for d in content["defaults"] if d != "_self_")
    assert set(chosen) == set(GROUPS)
    assert all(option in options(group) for group, option in chosen.items())
    assert set(GROUPS) <= set(fields_at(Config, (), {}))


def test_every_number_has_bounds_and_every_field_a_description() -> None:
    bounds = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}
    schema = Config.model_json_schema()
    for name, model in schema["$defs"].items():
        assert model.get("additionalProperties") is False, name
        for field, content in model.get("properties", {}).items():
            for kind in (content, *content.get("anyOf", [])):
                if kind.get("type") in ("number", "integer"):
                    assert bounds & set(kind), f"{name}.{field} has no bounds"
            is_section = "$ref" in content
            if field != "name" and not is_section:
                assert content.get("description"), f"{name}.{field} has no docstring"


def test_values_reach_their_fields() -> None:
    config = load_config(["video.start=1.5", "video.end=1:02:03.5", "runtime.device=cuda:1"])
    assert config.video.start == 1.5
    assert config.video.end == 3723.5
    assert config.runtime.device == "cuda:1"


def test_paths_with_any_characters() -> None:
    path = "/a b/it's (1)=2,3/[x]"
    assert load_config([f"runtime.checkpoints={path}"]).runtime.checkpoints == Path(path)


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config().profile = "paper"


def test_equal_overrides_give_equal_dumps() -> None:
    overrides = ["intrinsics=given", "intrinsics.focal_px=1200"]
    assert load_config(overrides).model_dump_json() == load_config(overrides).model_dump_json()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bodys=fit", "unknown key 'bodys'; did you mean 'bodies'"),
        ("bodies=fti", "there is no bodies=fti; did you mean 'fit'"),
        ("people=", "there is no people=; expected one of .*lm"),
        ("video.strat=3", r"unknown key 'video\.strat'; did you mean 'video\.start'"),
        ("video.zzz=3", r"unknown key 'video\.zzz'; expected one of start, end"),
        ("video=3", r"'video' is a section; set one of video\.start, video\.end"),
        ("video.start", r"'video\.start' is no override; expected key=value"),
        ("", "'' is no override"),
        ("+bodies=fit", "is no override"),
        ("video.start=-1", r"video\.start=-1: .*greater than or equal to 0 \(Seconds"),
        ("video.start=abc", r"video\.start=abc: .*valid number"),
        ("runtime.threads=2.5", r"runtime\.threads=2\.5: .*valid integer"),
        ("runtime.device=gpu", r"runtime\.device=gpu: .*cuda"),
        ("bodies.name=fit", "chooses no back-end; write bodies=fit"),
        ("intrinsics.focal_px=1200", "belongs to intrinsics=given; write intrinsics=given"),
        ("intrinsics=given", "intrinsics: give exactly one of"),
        ("runtime.threads=1,2", "runtime.threads=1,2"),
        ("video.start=${nowhere}", "nowhere"),
        ("runtime.threads=[1]", r"runtime\.threads: .*valid integer"),
        ("profile=papr", "there is no profile=papr"),
    ],
)
def test_refusals(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config([override])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_end_before_the_start() -> None:
    with pytest.raises(ConfigError, match=r"video\.end=3 must lie after video\.start=5"):
        load_config(["video.start=5", "video.end=3"])


def test_more_errors_than_one_are_counted() -> None:
    with pytest.raises(ConfigError, match=r"\(and 1 more\)$"):
        load_config(["video.start=-1", "runtime.threads=-1"])


def test_the_paper_profile_and_its_mixtures() -> None:
    paper = load_config(["profile=paper"])
    assert paper.profile == "paper"
    assert (paper.bodies.name, paper.boundaries.name) == ("hmr2", "vggt")
    assert paper.keypoints.model_dump()["boxes"] == "meshes"
    assert paper.masks.model_dump()["assign_by_mesh"] is True
    assert paper.people.pose_prior == "vposer"
    assert paper.tracks.model_dump()["atlas"] == "phalp"
    assert paper.runtime.device == "auto"
    mixed = load_config(["profile=paper", "bodies=fit", "body_model=embedded", "odometry=vo"])
    assert (mixed.bodies.name, mixed.odometry.name, mixed.boundaries.name) == ("fit", "vo", "vggt")
    assert mixed.keypoints.model_dump()["boxes"] == "detections"  # `fit` waits for keypoints
    assert mixed.masks.model_dump()["assign_by_mesh"] is False
    assert mixed.tracks.model_dump()["atlas"] == "body"
    people = load_config(["profile=paper", "intrinsics=people"])
    assert people.keypoints.model_dump()["boxes"] == "detections"
    for group in ("detections", "keypoints", "masks", "bodies", "tracks", "boundaries", "people"):
        for option in options(group):
            chosen = getattr(load_config(["profile=paper", f"{group}={option}"]), group)
            assert chosen.name == option


def test_smpls_parameters_need_its_body() -> None:
    with pytest.raises(ConfigError, match=r"bodies=hmr2 .* write body_model=smpl"):
        load_config(["bodies=hmr2"])
    with pytest.raises(ConfigError, match=r"bodies=hmr2 .* write body_model=smpl"):
        load_config(["profile=paper", "body_model=embedded"])
    assert load_config(["bodies=hmr2", "body_model=smpl"]).bodies.name == "hmr2"


def test_one_judge_says_whether_a_reconstructed_cut_is_one_place():
    """Two checks in a row would refuse cuts that the second one can prove."""
    ours = load_config(["boundaries=vggt"])
    assert isinstance(ours.alignment, LmAlignmentConfig)
    assert ours.alignment.together.verify and ours.alignment.together.rescue_failed
    assert isinstance(ours.boundaries, VggtBoundariesConfig)
    assert not ours.boundaries.common_place.required
    for given in ("alignment=adamw", "alignment.together.enabled=false"):
        other = load_config(["boundaries=vggt", given]).boundaries
        assert isinstance(other, VggtBoundariesConfig) and other.common_place.required
    unsure = load_config(["boundaries=vggt", "alignment.together.verify=false"])
    assert isinstance(unsure.boundaries, VggtBoundariesConfig)
    assert unsure.boundaries.common_place.required
    people = load_config([]).alignment
    assert isinstance(people, LmAlignmentConfig) and not people.together.rescue_failed
