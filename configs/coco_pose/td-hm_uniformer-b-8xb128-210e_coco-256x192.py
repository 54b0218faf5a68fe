_base_ = ['./td-hm_uniformer-s-8xb128-210e_coco-256x192.py']

# 8 GPUs x 128 = 1024 people a step, lr = 2e-3.
# The paper's section 5.5.1 says 256 people and drop path 0.5 for base; this is the authors' script.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.4,
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
