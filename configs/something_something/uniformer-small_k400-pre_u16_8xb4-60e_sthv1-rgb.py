_base_ = ['./uniformer-small_k400-pre_u16_8xb4-50e_sthv2-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4. Published top-1: 57.2, top-5 84.9.
# Drop path is the repository's: the paper has 0.3.
# The paper says 50 epochs.
model = dict(backbone=dict(drop_path_rate=0.2))
files = dict(data_root='data/sthv1', filename_tmpl='{:05}.jpg')
test_list = 'sthv1_val_list_rawframes.txt'
train_dataloader = dict(dataset=dict(files, ann_file='sthv1_train_list_rawframes.txt'))
val_dataloader = dict(dataset=dict(files, ann_file=test_list))
test_dataloader = dict(dataset=dict(files, ann_file=test_list))
param_scheduler = dict(T_max=60)
train_cfg = dict(max_epochs=60)
