_base_ = ['./sthv2_u32.py']

files = dict(data_root='data/sthv1', filename_tmpl='{:05}.jpg')
train_dataloader = dict(dataset=dict(files, ann_file='sthv1_train_list_rawframes.txt'))
val_dataloader = dict(dataset=dict(files, ann_file='sthv1_val_list_rawframes.txt'))
test_dataloader = val_dataloader
