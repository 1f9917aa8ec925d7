"""`report.html`: self-contained, escaped, and it says what the summary says."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from multithumbs.config.outputs import ReportConfig
from multithumbs.types.outputs import CutSummary, Score
from multithumbs.viz.report import write_report

HOSTILE = '<script>alert("x")</script>&\'.mp4'
VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Checks that elements nest, and collects what the page would load or run."""

    def __init__(self, text):
        super().__init__()
        self.open, self.urls, self.scripts, self.handlers, self.text = [], [], 0, [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.urls += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def write(two_shots, summary, body, video, tmp_path):
    def write(result=two_shots, **changes):
        config = changes.pop("config", ReportConfig(thumbnail_height=64))
        title, score = changes.pop("title", "clip.mp4"), changes.pop("score", None)
        path = tmp_path / "report.html"
        write_report(
            result,
            summary.model_copy(update=changes),
            body,
            video,
            path,
            title=title,
            score=score,
            config=config,
        )
        return path.read_text()

    return write


def test_loads_nothing_and_runs_only_its_own_script(write):
    text = write()
    page = Page(text)
    assert page.scripts == 2
    assert page.handlers == []
    assert page.urls
    assert all(url.startswith("data:image/jpeg;base64,") for url in page.urls)
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_names_cannot_become_markup(write, two_shots):
    cut = CutSummary(frame=12, status="failed", reason=HOSTILE, matched=0, residual_px=None)
    object.__setattr__(two_shots, "profile", "embedded")
    text = write(title=HOSTILE, cuts=(cut,), warnings=(HOSTILE,))
    page = Page(text)
    assert page.scripts == 2
    assert HOSTILE not in text
    assert "".join(page.text).count(HOSTILE) >= 3


def test_says_what_the_summary_says(write):
    text = write(warnings=("shot 1: lost tracking",))
    visible = " ".join(Page(text).text)
    assert "shot 1: lost tracking" in visible
    assert "residual 3.2 px" in visible or "residual 3.3 px" in visible
    assert "2 matched" in visible
    assert "4.00 s, 900 MB" in visible
    assert "0.50 s, 200 MB, cached" in visible
    assert "BlazePose: Apache-2.0" in visible
    assert text.count("data:image/jpeg") == 2


def test_motion_of_the_slider_is_that_of_the_result(write, two_shots):
    text = write()
    data = json.loads(re.search(r'id="motion">(.*?)</script>', text).group(1))
    assert data["frame"] == list(range(24))
    assert set(data["people"]) == {"0", "1"}
    way = np.array([entry[1:3] for entry in data["people"]["1"]])
    pelvis = two_shots.joints_world[two_shots.person == 1, 0][:, [0, 2]]
    scale = np.ptp(way, axis=0) / np.ptp(pelvis, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-2)
    assert [entry[3] for entry in data["people"]["0"]].count(0) == 2


def test_long_videos_give_the_slider_bounded_data(write):
    text = write(config=ReportConfig(max_steps=5, thumbnail_height=64))
    data = json.loads(re.search(r'id="motion">(.*?)</script>', text).group(1))
    assert len(data["frame"]) <= 5
    assert len(data["camera"]) == len(data["frame"])


def test_no_pictures_beyond_the_limit(write, video):
    assert "data:image" not in write(config=ReportConfig(max_cut_pictures=0))
    assert video.served == []


def test_scores_are_shown_where_there_are_some(write):
    score = Score(
        ids=0, w_mpjpe_mm=123.456, wa_mpjpe_mm=80.0, mpjpe_mm=60.0, mpvpe_mm=70.0, accel=5.0,
        ate_m=None, cut_rotation_deg=2.5, precision=1.0, recall=0.98, pa_mpjpe_mm=45.0,
        w_mpjpe_unchunked_mm=130.0, scene_mpjpe_mm=90.0, jitter=9.0, cut_rotation_mean_deg=2.0,
        ids_in_shot=0, ids_shared=0, cuts_missed=0, cuts_false=0, cuts_unlinked=0,
        cuts_wrongly_linked=0, persons=(), cuts=(), islands=(),
    )  # fmt: skip
    text = write(score=score)
    assert "123.5 mm" in text
    assert "Score against the exact truth" in text
    assert "Score against" not in write()


def test_nobody_and_no_cut_still_make_a_page(write, nobody):
    text = write(result=nobody, cuts=(), num_people=0)
    assert "one shot" in " ".join(Page(text).text)


def test_worlds_that_share_no_space_are_said_to(write, two_islands):
    text = write(result=two_islands, num_islands=2)
    assert "share no space" in text
    assert text.count('class="plan"') == 2
