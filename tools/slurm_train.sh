#!/usr/bin/env bash
# Train under Slurm: one task per GPU.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of tools/train.py]

    GPUS            processes in all             (default 8)
    GPUS_PER_NODE   processes on each machine    (default 8, at most GPUS)
    CPUS_PER_TASK   CPU cores of each process    (default 5)
    SRUN_ARGS       more arguments for srun
    PYTHON          the Python to use            (default python)
USAGE
    exit 2
fi

partition=$1 job_name=$2 config=$3
shift 3
work_dir=()
if [[ $# -gt 0 && $1 != -* ]]; then
    work_dir=(--work-dir "$1")
    shift
fi
tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
source "$tools/slurm_env.sh"

exec srun "${srun[@]}" "$PYTHON" -u "$tools/train.py" "$config" "${work_dir[@]}" \
    --launcher slurm "$@"
