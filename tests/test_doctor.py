"""The doctor finds what is missing and says how to mend it."""

from multithumbs import doctor
from multithumbs.backends import needs
from multithumbs.config.compose import load_config
from multithumbs.doctor import Level, report


def test_this_machine_has_all_packages(tmp_path):
    checks = {check.name: check for check in report(tmp_path)}
    assert checks["torch"].level is Level.OK
    assert checks["H.264 encoder"].level is Level.OK
    assert "GiB free" in checks["disk"].detail


def test_a_missing_checkpoint_names_its_command(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTITHUMBS_CHECKPOINTS", str(tmp_path))
    checks = {check.name: check for check in report(tmp_path)}
    assert checks["blazepose-detector"].level is Level.MISSING
    assert checks["blazepose-detector"].remedy == (
        "multithumbs checkpoints fetch blazepose-detector"
    )
    assert checks["SMPL body"].level is Level.NOTE


def test_a_missing_package_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_REQUIRED", ("no-such-package-anywhere",))
    checks = {check.name: check for check in report(tmp_path)}
    assert checks["no-such-package-anywhere"].level is Level.MISSING
    assert checks["no-such-package-anywhere"].remedy


def test_everything_wrong_has_a_remedy(tmp_path):
    assert all(check.remedy for check in report(tmp_path) if check.level is not Level.OK)


def test_a_configuration_is_told_all_that_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTITHUMBS_CHECKPOINTS", str(tmp_path))
    found = needs.importlib.util.find_spec
    monkeypatch.setattr(
        needs.importlib.util, "find_spec", lambda n: None if n == "transformers" else found(n)
    )
    config = load_config(["profile=paper"])
    checks = {c.name: c for c in report(tmp_path, config) if c.level is Level.MISSING}
    assert checks["transformers"].remedy == "run `pip install 'multithumbs[paper]'`"
    assert "keypoints=vitpose" in checks["transformers"].detail
    assert checks["hmr2"].remedy == "multithumbs checkpoints fetch hmr2"
    assert "smpl.is.tue.mpg.de" in checks[str(tmp_path / "smpl" / "smpl.npz")].remedy
    assert "blazepose-detector" not in checks


class _Needless:
    """A back-end that needs nothing."""

    name = "needless"


def test_a_configuration_that_can_run_is_told_so(tmp_path):
    config = load_config(["outputs.glb.enabled=false"])
    config = config.model_copy(
        update={n: _Needless() for n in ("detections", "keypoints", "masks")}
    )
    last = report(tmp_path, config)[-1]
    assert (last.name, last.level) == ("profile=embedded", Level.OK)


def test_the_general_view_sums_up_the_paper_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTITHUMBS_CHECKPOINTS", str(tmp_path))
    paper = {check.name: check for check in report(tmp_path)}["profile=paper"]
    assert paper.level is Level.NOTE
    assert "hmr2" in paper.detail
    assert "doctor profile=paper" in paper.remedy
