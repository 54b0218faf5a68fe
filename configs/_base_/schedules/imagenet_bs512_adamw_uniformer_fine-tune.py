# Fine-tuning at another size with a global batch of 512: 50 epochs and the ten that timm adds, all
# at one rate, since peak and floor are equal. So do the authors' scripts; the paper (section 5.1)
# has 30 epochs, five of them warm-up.
_base_ = ['./imagenet_bs1024_adamw_uniformer_token-label.py']

optim_wrapper = dict(optimizer=dict(lr=5e-6, weight_decay=1e-8))

param_scheduler = dict(T_max=50, warmup=0, eta_min=5e-6)

train_cfg = dict(max_epochs=60)

auto_scale_lr = dict(base_batch_size=512)

custom_hooks = []  # no average
