"""Ctrl-C where CPython would lose it."""

import subprocess
import sys

IN_A_FINALISER = """
import signal, sys, time
from multithumbs.cli.main import main

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def command(words):
    dying = Dying()
    del dying
    print("still here", flush=True)
    for _ in range(1000):
        time.sleep(0.01)
    return 0

sys.modules["multithumbs.cli.main"]._dispatch = command
sys.exit(main([]))
"""
IN_ANOTHER_ERROR = """
import sys
from multithumbs.cli.interrupts import heard

class Dying:
    def __del__(self):
        raise ValueError("told as ever")

with heard():
    dying = Dying()
    del dying
"""


def python(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )


def test_an_interrupt_in_a_finaliser_ends_the_command_all_the_same():
    ended = python(IN_A_FINALISER)
    assert ended.returncode == 130, ended.stderr
    assert ended.stdout == "still here\n"
    assert ended.stderr.startswith("multithumbs: interrupted; finished parts are kept")
    assert "Traceback" not in ended.stderr


def test_other_ignored_errors_are_told_as_ever():
    ended = python(IN_ANOTHER_ERROR)
    assert ended.returncode == 0
    assert "ValueError: told as ever" in ended.stderr
