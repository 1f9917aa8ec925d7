#!/usr/bin/env bash
# Every check and every test, from a bare machine: makes .venv, installs the dev extra, runs all.
# Arguments go to pytest.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
make_environment dev
. .venv/bin/activate

ruff check .
ruff format --check .
pyright
lint-imports
multithumbs checkpoints fetch embedded

# Two processes with one thread each beat one process with two on the small arrays of tests.
export OMP_NUM_THREADS=1
pytest --numprocesses auto --dist worksteal "$@"
