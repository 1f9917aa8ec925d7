"""The doctor finds what is missing and says how to mend it."""

from multithumbs import doctor
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
