# UCF101, split 1, as raw frames: the clips, augmentation and views of Diving48.
_base_ = ['./diving48_32x4.py']

train_list, val_list = 'ucf101_train_split_1_rawframes.txt', 'ucf101_val_split_1_rawframes.txt'
train_dataloader = dict(batch_size=16, dataset=dict(data_root='data/ucf101', ann_file=train_list))
val_dataloader = dict(dataset=dict(data_root='data/ucf101', ann_file=val_list))
test_dataloader = dict(dataset=dict(data_root='data/ucf101', ann_file=val_list))
