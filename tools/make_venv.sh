#!/usr/bin/env bash
# Makes a virtual environment with pip in it: make_venv.sh FOLDER (PYTHON in the environment, default python3).
#
# Debian's python3 has venv but not ensurepip, which is in python3-venv. Where that is not installed, pip comes from
# Debian's python3-pip-whl, downloaded and unpacked beside the environment: no root, nothing installed system-wide.
set -euo pipefail

venv=$1
python=${PYTHON:-python3}

fail() {
    echo "make_venv: $1" >&2
    exit 1
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is not Python 3.11 or newer; name one that is: make PYTHON=python3.NN"

if "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    exit 0
fi
if "$python" -c 'import ensurepip' 2>/dev/null; then
    exec "$python" -m venv "$venv"
fi
"$python" -m venv --without-pip "$venv"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
own_lists=(-o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache")
echo "make_venv: no ensurepip here; taking pip from Debian's python3-pip-whl"
(
    cd "$scratch"
    {
        apt-get -qq download python3-pip-whl 2>/dev/null ||
            { apt-get -qq "${own_lists[@]}" update && apt-get -qq "${own_lists[@]}" download python3-pip-whl; }
    } && dpkg-deb -x python3-pip-whl_*.deb .
) || fail "$python cannot make an environment with pip in it; install what it lacks: apt install python3-venv"
wheel=$(echo "$scratch"/usr/share/python-wheels/pip-*.whl)
"$venv/bin/python" "$wheel/pip" install --quiet --no-index "$wheel"
