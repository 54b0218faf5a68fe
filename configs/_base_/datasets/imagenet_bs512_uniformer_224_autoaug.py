# ImageNet-1K as the authors' script of XXS reads it: like that of XS, with AutoAugment v0. Every
# image gets one of 25 pairs of operations, each with its own chance. They are timm's, whose levels
# are converted to degrees, ratios, thresholds, offsets, bits and factors.
_base_ = ['./imagenet_bs512_uniformer_224.py']

# AutoAugment hands nothing down, so each operation is told what lies outside an image (BGR).
border = dict(pad_val=[104, 116, 124], interpolation='bicubic')


def auto_contrast(prob):
    return dict(type='uniformer_mm.AutoContrast', prob=prob)


def color(prob, factor):
    # timm's v0 never turns the factor around.
    return dict(type='ColorTransform', prob=prob, magnitude=factor - 1, random_negative_prob=0.0)


def equalize(prob):
    return dict(type='uniformer_mm.Equalize', prob=prob)


def invert(prob):
    return dict(type='Invert', prob=prob)


def posterize(prob, bits):
    return dict(type='Posterize', prob=prob, bits=bits)


def rotate(prob, angle):
    return dict(type='Rotate', prob=prob, angle=angle, **border)


def shear_x(prob, ratio):
    return dict(type='Shear', prob=prob, magnitude=ratio, direction='horizontal', **border)


def shear_y(prob, ratio):
    return dict(type='Shear', prob=prob, magnitude=ratio, direction='vertical', **border)


def solarize(prob, threshold):
    return dict(type='uniformer_mm.Solarize', prob=prob, thr=threshold)


def solarize_add(prob, offset):
    return dict(type='uniformer_mm.SolarizeAdd', prob=prob, magnitude=offset)


def translate_y(prob, ratio):
    return dict(type='Translate', prob=prob, magnitude=ratio, direction='vertical', **border)


autoaugment_v0 = [
    [equalize(0.8), shear_y(0.8, 0.12)],
    [color(0.4, 1.72), equalize(0.6)],
    [color(0.4, 0.28), rotate(0.6, 24)],
    [solarize(0.8, 76), equalize(0.4)],
    [solarize(0.4, 51), solarize(0.6, 51)],
    [color(0.2, 0.1), equalize(0.8)],
    [equalize(0.4), solarize_add(0.8, 33)],
    [shear_x(0.2, 0.27), rotate(0.6, 24)],
    [color(0.6, 0.28), equalize(1.0)],
    [invert(0.4), rotate(0.6, 0)],
    [equalize(1.0), shear_y(0.6, 0.09)],
    [color(0.4, 1.36), equalize(0.6)],
    [posterize(0.4, 2), auto_contrast(0.4)],
    [solarize(0.6, 204), color(0.6, 1.72)],
    [solarize(0.2, 102), rotate(0.8, 27)],
    [rotate(1.0, 21), translate_y(0.8, 0.405)],
    [shear_x(0.0, 0.0), solarize(0.8, 102)],
    [shear_y(0.8, 0.0), color(0.6, 0.82)],
    [color(1.0, 0.1), rotate(0.6, 6)],
    [equalize(0.8), equalize(0.0)],
    [equalize(1.0), auto_contrast(0.6)],
    [shear_y(0.4, 0.21), solarize_add(0.6, 77)],
    [posterize(0.8, 0), solarize(0.6, 256)],
    [solarize(0.6, 204), equalize(0.6)],
    [color(0.8, 1.18), rotate(0.4, 15)],
]

train_pipeline = [
    *_base_.train_pipeline[:3],  # crop and flip
    dict(type='AutoAugment', policies=autoaugment_v0),
    *_base_.train_pipeline[4:],  # erasing
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
