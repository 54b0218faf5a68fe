_base_ = ['./uniformer-small_in1k-pre_16x4x1_8xb4-110e_kinetics400-rgb.py']

# 8 GPUs x 12 = 96 videos a step, of two clips each; lr = 3e-4. Published top-1: 82.8, top-5 95.8.
model = dict(
    cls_head=dict(num_classes=600),
    data_preprocessor=dict(blending=dict(num_classes=600)),
)
train_dataloader = dict(
    batch_size=12,
    dataset=dict(data_root='data/kinetics600', ann_file='kinetics600_train_list_videos.txt'),
)
val_dataloader = dict(
    dataset=dict(data_root='data/kinetics600', ann_file='kinetics600_val_list_videos.txt')
)
test_dataloader = dict(
    dataset=dict(data_root='data/kinetics600', ann_file='kinetics600_val_list_videos.txt')
)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=96)
custom_hooks = [
    dict(type='uniformer_mm.VideoDataHook'),
    dict(type='uniformer_mm.CheckpointGuardHook', class_order='kinetics600'),
]
