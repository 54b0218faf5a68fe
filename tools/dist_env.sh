# Sourced by dist_train.sh and dist_test.sh, which have set `tools`. Defines `start`.

PYTHON=${PYTHON:-python}
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# torchrun's own choice too; set here, it does so without a warning.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# What the processes take for the longest time to wait for each other.
export UNIFORMER_MM_TIMEOUT=${TIMEOUT:-1800}

# start GPUS TOOL [ARGUMENTS]: with torchrun if `options` holds any for it
start() {
    if [[ ${#options[@]} -eq 0 ]]; then
        exec "$PYTHON" "$tools/launch.py" "$@" --launcher pytorch
    fi
    exec "$PYTHON" -m torch.distributed.run --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" --nproc_per_node="$1" "${options[@]}" \
        "${@:2}" --launcher pytorch
}
