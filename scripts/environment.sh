# Sourced by the other scripts: makes .venv beside pyproject.toml and installs the package into it.
#
#   make_environment [EXTRA]    EXTRA is a pip extra such as "dev"
#
# PYTHON names another interpreter. A finished environment is reused until pyproject.toml or one of
# the lists of packages beside this file changes.

make_environment() {
  local extra="${1:-}" python="${PYTHON:-python3}" target="." stamp
  [ -z "$extra" ] || target=".[$extra]"
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed, and '$python' is not; set PYTHON=/path/to/python3.11" >&2
    return 1
  fi
  if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv || {
      echo "cannot make .venv with '$python -m venv'; install Python's venv module" >&2
      return 1
    }
  fi
  stamp="$(cat pyproject.toml scripts/constraints.txt scripts/without_dependencies.txt | cksum) $extra"
  if [ ! -f .venv/installed ] || ! grep -qxF "$stamp" .venv/installed; then
    echo "Installing multithumbs into .venv (a few minutes the first time) ..."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --constraint scripts/constraints.txt --editable "$target"
    if [ "$extra" = dev ]; then
      .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --requirement scripts/without_dependencies.txt
    fi
    echo "$stamp" >> .venv/installed
  fi
}
