_base_ = ['./kinetics400_32x2.py']

train_list, val_list = 'kinetics600_train_list_videos.txt', 'kinetics600_val_list_videos.txt'
train_dataloader = dict(dataset=dict(data_root='data/kinetics600', ann_file=train_list))
val_dataloader = dict(dataset=dict(data_root='data/kinetics600', ann_file=val_list))
test_dataloader = dict(dataset=dict(data_root='data/kinetics600', ann_file=val_list))
