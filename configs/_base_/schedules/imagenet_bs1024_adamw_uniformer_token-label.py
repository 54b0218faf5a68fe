# 300 epochs of AdamW at a global batch of 1024, and ten more at the floor that timm adds: the
# authors' token labelling. They do not scale the rate with the batch, and this script is on time.
_base_ = ['./imagenet_bs1024_adamw_uniformer.py']

optim_wrapper = dict(optimizer=dict(lr=1.6e-3))

param_scheduler = dict(lag=0)

train_cfg = dict(max_epochs=310)

# Decay 0.99992. The best checkpoint is that of the average, as with the authors.
custom_hooks = [dict(_base_.custom_hooks[0], momentum=8e-5)]
