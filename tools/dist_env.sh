# Sourced by dist_train.sh and dist_test.sh, which have set `tools`.
# Sets PYTHON, PYTHONPATH and `rendezvous`, the arguments with which torchrun's processes meet.

PYTHON=${PYTHON:-python}
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# torchrun's own choice too; set here, it does so without a warning.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

nnodes=${NNODES:-1}
if [[ $nnodes -gt 1 && -z ${MASTER_ADDR:-} ]]; then
    echo "NNODES=$nnodes: set MASTER_ADDR to the address of the machine with NODE_RANK=0." >&2
    exit 2
fi
if [[ $nnodes -eq 1 && -z ${PORT:-} ]]; then
    PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
fi
rendezvous=(
    --nnodes="$nnodes"
    --node_rank="${NODE_RANK:-0}"
    --master_addr="${MASTER_ADDR:-127.0.0.1}"
    --master_port="${PORT:-29500}"
)
