#!/usr/bin/env bash
# Test under Slurm: one task per GPU.
set -euo pipefail

if [[ $# -lt 4 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]

The variables GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS and PYTHON are those of
tools/slurm_train.sh.
USAGE
    exit 2
fi

partition=$1 job_name=$2 config=$3 checkpoint=$4
shift 4
tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
source "$tools/slurm_env.sh"

exec srun "${srun[@]}" "$PYTHON" -u "$tools/test.py" "$config" "$checkpoint" --launcher slurm "$@"
