# Top-down heatmaps on UniFormer (Li et al., UniFormer, TPAMI 2023, section 5.5): mmpose's ResNet
# recipe with the authors' backbone, optimizer and augmentation, at an input of 256 x 192 (H x W).
_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='uniformer_mm.UniFormer',
        arch='small',
        # The head reads the last map: norms of the other stages would be parameters without use.
        out_indices=(3,),
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/Sense-X/uniformer_image/resolve/main/uniformer_small_in1k.pth',
        ),
    ),
    head=dict(in_channels=512),
)

# The authors' augmentation, in their order. Stock mmpose has one step for shift, scale, rotation:
# dict(type='RandomBBoxTransform'), which draws from other distributions within the same limits.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='uniformer_mm.RandomBBoxShift', max_shift=0.2, prob=0.3),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=0.3, padding=1.5, upper_prioritized_prob=0.69),
    dict(
        type='uniformer_mm.ClippedNormalScaleRotation',
        scale_std=0.5,
        rotation_std=40,
        rotation_prob=0.6,
    ),
    *_base_.train_pipeline[-3:],  # TopdownAffine, GenerateTarget, PackPoseInputs
]
train_dataloader = dict(
    batch_size=128, persistent_workers=False, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=256)
test_dataloader = val_dataloader

# float16 as the authors trained; tools/train.py --amp bf16 takes bfloat16. Weight decay is on every
# parameter: nothing is exempt.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.01),
)
# 500 iterations of warm-up: LinearLR is at its end value one iteration before `end`.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=501),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=210, milestones=[170, 200], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(
    checkpoint=dict(interval=5, max_keep_ckpts=3),
    # Here instead of in custom_hooks, where a list of the user's own would replace it.
    sync_buffers=dict(type='SyncBuffersHook'),
    # A checkpoint fits, a resumed run is the run it continues, and a broken loss is never saved.
    checkpoint_guard=dict(type='uniformer_mm.CheckpointGuardHook'),
    epoch_seed=dict(type='uniformer_mm.EpochSeedHook'),
    finite_loss=dict(type='uniformer_mm.FiniteLossHook'),
)
custom_hooks = []
