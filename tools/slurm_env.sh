# Sourced by slurm_train.sh and slurm_test.sh, which have set `tools`, `partition`, `job_name`.
# Sets PYTHON, PYTHONPATH and `srun`, the arguments of srun.

PYTHON=${PYTHON:-python}
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"

gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# Several arguments in one variable: split at spaces on purpose.
read -r -a srun_args <<<"${SRUN_ARGS:-}"
srun=(
    --partition="$partition"
    --job-name="$job_name"
    --gres="gpu:$gpus_per_node"
    --ntasks="$gpus"
    --ntasks-per-node="$gpus_per_node"
    --cpus-per-task="${CPUS_PER_TASK:-5}"
    --kill-on-bad-exit=1
    "${srun_args[@]}"
)
