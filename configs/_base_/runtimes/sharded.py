# A further base for any config: parameters, gradients and optimizer states are spread over the
# processes (docs/training.md says when). There are no averaged weights: custom_hooks=[] where the
# config has an EMAHook.
runner_type = 'FlexibleRunner'
strategy = dict(
    type='uniformer_mm.FullyShardedStrategy', units=('LocalBlock', 'GlobalBlock', 'SplitBlock')
)
