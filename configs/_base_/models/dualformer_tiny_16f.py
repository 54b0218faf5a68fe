_base_ = ['./dualformer_tiny.py']

# Clips of 16 frames have other kernels in the pyramids. For the means, see
# dualformer_small_k400-pre.py.
model = dict(
    backbone=dict(clip_size=(16, 224, 224)),
    data_preprocessor=dict(mean=[104, 117, 128], std=[1, 1, 1]),
)
