_base_ = ['./uniformer-small_k400-pre_u16_8xb4-50e_sthv2-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4. Published top-1: 69.0.
train_pipeline, val_pipeline, test_pipeline = (
    [dict(step, clip_len=32) if 'clip_len' in step else step for step in pipeline]
    for pipeline in (_base_.train_pipeline, _base_.val_pipeline, _base_.test_pipeline)
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
