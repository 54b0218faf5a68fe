#!/usr/bin/env bash
# Train on several GPUs of one or more machines.
set -euo pipefail

options=()
while [[ ${1:-} == -* ]]; do
    options+=("$1")
    shift
done
if [[ $# -lt 2 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/dist_train.sh [options of torchrun] CONFIG GPUS [arguments of tools/train.py]

GPUS is the number of processes on this machine (without a GPU they run on the CPU).
When a process is killed or does not answer, all start anew and resume by themselves.
On several machines run it once on each, with these variables:
    NNODES        number of machines            (default 1)
    NODE_RANK     number of this one, from 0    (default 0)
    MASTER_ADDR   address of machine 0          (default 127.0.0.1)
    PORT          a free port of machine 0      (default: found on one machine, 29500 on several)
    RESTARTS      how often to start anew       (default 3)
    TIMEOUT       seconds that processes wait for each other before they give up (default 1800)
    PYTHON        the Python to use             (default python)
With options (--name=value) torchrun starts the processes and restarts them (--max-restarts=3),
instead of this script; they resume all the same.
USAGE
    exit 2
fi

config=$1 gpus=$2
shift 2
tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
source "$tools/dist_env.sh"
start "$gpus" "$tools/train.py" "$config" "$@"
