#!/usr/bin/env bash
# Test on several GPUs of one or more machines.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]

GPUS is the number of processes on this machine (without a GPU they run on the CPU).
The variables NNODES, NODE_RANK, MASTER_ADDR, PORT and PYTHON are those of tools/dist_train.sh.
USAGE
    exit 2
fi

config=$1 checkpoint=$2 gpus=$3
shift 3
tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
source "$tools/dist_env.sh"

exec "$PYTHON" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node="$gpus" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
