#!/usr/bin/env bash
# Installs multithumbs into .venv, fetches the embedded models, and runs VIDEO.
#
#   scripts/setup_and_run.sh                       the demo: makes a clip, runs it, scores it
#   scripts/setup_and_run.sh VIDEO [args ...]      as `multithumbs run VIDEO [args ...]`
set -euo pipefail

caller="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
make_environment
multithumbs="$PWD/.venv/bin/multithumbs"

cd "$caller"
"$multithumbs" checkpoints fetch embedded
if [ $# -eq 0 ]; then
  exec "$multithumbs" demo
fi
exec "$multithumbs" run "$@"
