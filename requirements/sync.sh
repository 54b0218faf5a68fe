#!/usr/bin/env bash
# Brings .venv to a lock file of this folder. `make` calls it; docs/install.md tells the rest.
#   requirements/sync.sh cls              classification: no compiled ops
#   requirements/sync.sh full             everything; an environment that is full stays full
#   requirements/sync.sh lock [options]   write the lock files from pyproject.toml
# .venv/stamp says what .venv holds. It goes before anything changes and comes last; without it
# .venv is made anew, in seconds, from uv's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv_version=0.13.8
set=$1
: "${BASE_PYTHON:=}" "${MMCV_WHEEL:=}" "${FIND_LINKS:=}"

fail() {
    printf '%s\n' "error: $1" "${@:2}" >&2
    exit 1
}
minor() { "$1" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null; }
usable() { # finished, not moved since, and of the Python that is asked for
    stamp=$(cat .venv/stamp 2>/dev/null) && [[ $stamp == *" $PWD" ]] &&
        have=$(minor .venv/bin/python) &&
        [[ -z $BASE_PYTHON || $have == "$(minor "$BASE_PYTHON")" ]]
}
current() {
    usable || return 1
    [[ $stamp == cls* ]] || set=full
    [[ $stamp == "$(wanted)" && -z $MMCV_WHEEL ]]
}
wanted() {
    echo "$set $(cat pyproject.toml requirements/{sync.sh,"$set.txt"} | sha256sum | cut -c -64) $PWD"
}

if [[ $set != lock ]] && current; then exit; fi
exec 9>.venv.lock # the system lets go of it when the last process that writes to .venv has ended
flock -n 9 || { echo 'waiting for another process that sets up .venv' && flock 9; }
if [[ $set != lock ]] && current; then exit; fi

unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
tried=${BASE_PYTHON:-$(! usable || echo .venv/bin/python) python3.11 python3.12 python3.10 python3}
for base in $tried; do
    [[ $(minor "$base") == 3\ 1[012] ]] && break
    base=
done
[[ $base ]] || fail "no working Python 3.10 to 3.12 (tried: $tried)." \
    '  Debian, Ubuntu: sudo apt-get install python3 python3-venv python3-dev' \
    '  then repeat, or name one: make ... BASE_PYTHON=/path/to/python3.11'
# Not .venv's, which may be about to go.
base=$("$base" -c 'import os, sys; print(os.path.realpath(sys.executable))')

links=(${FIND_LINKS:+--find-links "$FIND_LINKS"} ${PIP_NO_INDEX:+--no-index})
uv=.venv-tools/bin/uv
if [[ $(uv --version 2>/dev/null) == "uv $uv_version "* ]]; then
    uv=uv
elif [[ $($uv --version 2>/dev/null) != "uv $uv_version "* ]]; then
    "$base" -m venv --clear .venv-tools
    .venv-tools/bin/pip install -q "${links[@]}" "uv==$uv_version"
fi
index=${PIP_INDEX_URL:-$("$base" -m pip config get global.index-url 2>/dev/null || true)}
export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index} UV_PYTHON_DOWNLOADS=never

if [[ $set == lock ]]; then
    compile() {
        UV_CUSTOM_COMPILE_COMMAND='make lock' $uv pip compile --quiet --universal --python-version 3.10 \
            --generate-hashes --no-annotate --group lock "$@" pyproject.toml >/dev/null
    }
    compile --extra all --output-file requirements/full.txt "${@:2}"
    compile --extra cls --extra lite --extra demo --output-file requirements/cls.txt \
        --constraints requirements/full.txt
    { # without hashes, which pip cannot combine with `-e .`
        echo '# The tested versions for pip install -c; written by make lock.'
        sed -n 's/ *\\$//; s/^opencv-python-headless\(.*\)/&\nopencv-python\1/; /==/p' \
            requirements/full.txt <(grep '^mmcv-lite' requirements/cls.txt)
    } >requirements/constraints.txt
    exit
fi

ready=()
tag=cp$(minor "$base" | tr -d ' ')
if [[ $set == full ]]; then
    shopt -s nullglob # wheels that somebody compiled: the lock file has no hash of them
    [[ -z $FIND_LINKS ]] || ready=("$FIND_LINKS"/{mmcv,xtcocotools}-*-"$tag"-*.whl)
    [[ -z $MMCV_WHEEL ]] || ready+=("$MMCV_WHEEL")
fi
# Ops for CUDA need its compiler; which kind they are is a part of their place in uv's cache.
ops=cpu
if [[ ${FORCE_CUDA:-} == 1 ]] || { nvcc --version && nvidia-smi -L; } &>/dev/null; then
    ops=cuda FORCE_CUDA=1
    export FORCE_CUDA
else
    export CUDA_VISIBLE_DEVICES=
fi
# Two GB of memory for each compiler.
jobs=$(awk -v n="$(nproc)" '/MemAvailable/ {j = int($2 / 2^21); print j < 1 ? 1 : j < n ? j : n}' /proc/meminfo)
export MAX_JOBS=${MAX_JOBS:-$jobs}

say="Setting up .venv ($set)."
if [[ $set == cls ]]; then
    say+=' The first time on this machine: 3 GB to download, about a minute.'
elif [[ " ${ready[*]##*/}" != *' mmcv-'* &&
    -z $(find "$($uv cache dir)"/sdists-* -name "mmcv-*-$tag-*.whl" -print -quit 2>/dev/null) ]]; then
    command -v "${CXX:-c++}" >/dev/null || fail 'no C++ compiler, which mmcv and xtcocotools need.' \
        '  Debian, Ubuntu: sudo apt-get install build-essential python3-dev' \
        '  or give ready wheels: make ... FIND_LINKS=/path/to/folder'
    say+=" The ops of mmcv are compiled, once for all checkouts: about $((13 / MAX_JOBS)) minutes if"
    say+=' the cores are idle.'
fi
echo "$say"

# uv files what it compiles by where the packages for building come from: compiled beside a torch
# that is installed, it would not be found when the next checkout starts from nothing.
if ! usable || [[ $set == full && $stamp == cls* ]]; then
    rm -rf .venv
    $uv venv --quiet --python "$base" .venv
fi
rm -f .venv/stamp
given=" $(printf '%s ' "${ready[@]##*/}" | sed 's/-[^ ]*//g')"
awk -v given="$given" '/^[a-z]/ {split($1, name, "=="); skip = index(given, " " name[1] " ")} !skip' \
    "requirements/$set.txt" >.venv/lock.txt
export UV_PYTHON=.venv/bin/python
install() {
    $uv pip sync --require-hashes --build-constraints requirements/full.txt "${links[@]}" \
        --config-settings-package "mmcv:ops=$ops" "$@" .venv/lock.txt
}
# First without asking the index: after one that sends no caching headers, as many mirrors do, uv
# would take what it has for stale and compile mmcv again.
install --offline --quiet 2>/dev/null || install
[[ ${#ready[@]} == 0 ]] || $uv pip install --no-config --no-deps "${ready[@]}"
$uv pip install --quiet --no-deps --no-build-isolation --editable .
[[ $set == cls ]] || .venv/bin/python tools/check_env.py --quiet # are the ops what torch needs?
wanted >.venv/stamp
