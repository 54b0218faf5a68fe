#!/usr/bin/env bash
# Test on several GPUs of one or more machines.
set -euo pipefail

options=()
while [[ ${1:-} == -* ]]; do
    options+=("$1")
    shift
done
if [[ $# -lt 3 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/dist_test.sh [options of torchrun] CONFIG CHECKPOINT GPUS
                               [arguments of tools/test.py]

GPUS is the number of processes on this machine (without a GPU they run on the CPU).
The variables NNODES, NODE_RANK, MASTER_ADDR, PORT, TIMEOUT and PYTHON are those of
tools/dist_train.sh, and so are RESTARTS (default 0) and the options.
USAGE
    exit 2
fi

config=$1 checkpoint=$2 gpus=$3
shift 3
tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
source "$tools/dist_env.sh"
export RESTARTS=${RESTARTS:-0}
start "$gpus" "$tools/test.py" "$config" "$checkpoint" "$@"
