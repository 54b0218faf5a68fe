#!/usr/bin/env bash
# Train on several GPUs of one or more machines.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]

GPUS is the number of processes on this machine (without a GPU they run on the CPU).
On several machines run it once on each, with these variables:
    NNODES        number of machines            (default 1)
    NODE_RANK     number of this one, from 0    (default 0)
    MASTER_ADDR   address of machine 0          (default 127.0.0.1)
    PORT          a free port of machine 0      (default: found on one machine, 29500 on several)
    PYTHON        the Python to use             (default python)
USAGE
    exit 2
fi

config=$1 gpus=$2
shift 2
tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
source "$tools/dist_env.sh"

exec "$PYTHON" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node="$gpus" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
