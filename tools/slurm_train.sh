#!/usr/bin/env bash
# Train under Slurm: one task per GPU.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    cat >&2 <<'USAGE'
Usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of tools/train.py]

    GPUS            processes in all             (default 8)
    GPUS_PER_NODE   processes on each machine    (default 8, at most GPUS)
    CPUS_PER_TASK   CPU cores of each process    (default 5)
    GRACE           seconds before the time limit at which the run is saved (default 90)
    SRUN_ARGS       more arguments for srun
    PYTHON          the Python to use            (default python)

A run that Slurm takes the machine from (SIGUSR1 or SIGTERM) saves itself, is queued again and goes
on where it was. For a batch job, sbatch needs --requeue and --signal=USR1@90.
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

# Before the time limit; SRUN_ARGS may say otherwise.
srun=(--signal="USR1@${GRACE:-90}" "${srun[@]}")

while true; do
    status=0
    srun "${srun[@]}" "$PYTHON" -u "$tools/train.py" "$config" "${work_dir[@]}" \
        --launcher slurm "$@" || status=$?
    # 75: the machine is taken away, and the run is saved.
    [[ $status -eq 75 ]] || exit "$status"
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        exec scontrol requeue "$SLURM_JOB_ID"
    fi
    # A run that has been restarted resumes by itself; Slurm counts for a batch job.
    export SLURM_RESTART_COUNT=$((${SLURM_RESTART_COUNT:-0} + 1))
done
