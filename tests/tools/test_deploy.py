"""Export of every kind of model, and the files run without PyTorch and the MM libraries."""

import json
import subprocess
import sys
from pathlib import Path

import make_mini
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS
from PIL import Image
from sklearn.datasets import load_sample_image

from uniformer_mm.deploy.tasks import CLASSIFIER, DETECTOR, RECOGNIZER, SEGMENTOR

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

REPO = Path(__file__).resolve().parents[2]
CONFIGS = REPO / 'configs/mini'
EXPORT, PREDICT = 'tools/deploy/export.py', 'tools/deploy/predict.py'
BLOCKED = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'cv2', 'onnx', 'uniformer_mm')
# The inference tool, the config, and further arguments of the export.
KINDS = {
    'classify': ('uniformer-mini_1xb32_digits', []),
    'segment': ('uniformer-mini-g_fpn_ade20k-digits', []),
    'detect': (
        'cascade-mask-rcnn_uniformer-mini-h_fpn_coco-digits',
        [
            *('--size', '128', '160', '--cfg-options', 'model.test_cfg.rpn.nms_pre=50'),
            *('model.test_cfg.rpn.max_per_img=20', 'model.test_cfg.rcnn.score_thr=0.0'),
            'model.test_cfg.rcnn.max_per_img=5',
        ],
    ),
    'pose': ('td-hm_uniformer-mini_coco-people', []),
    'classify_video': ('uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb', ['--size', '64']),
}


@pytest.fixture(autouse=True)
def tools(monkeypatch) -> None:
    """The modules beside the tools, as for a script."""
    monkeypatch.syspath_prepend(str(REPO / 'tools/deploy'))


@pytest.fixture
def export(run_main, random_weights, tmp_path, monkeypatch):
    """A function that exports a mini model with random weights; gives what the tool exits with."""
    monkeypatch.chdir(tmp_path)

    def run(kind: str, out: str, *args: object, weights: object = None) -> object:
        config = CONFIGS / f'{KINDS[kind][0]}.py'
        return run_main(EXPORT, config, weights or random_weights(config), out, *args)

    return run


@pytest.fixture
def classifier(export, made) -> Path:
    """A classifier in float32 for images of 56 pixels, made once."""
    if not made:
        Path('names.txt').write_text('\n'.join(f'digit {i}' for i in range(10)))
        args = ('--size', '56', '--classes', 'names.txt')
        assert export('classify', 'model.onnx', *args) == 0
        made.append(Path('model.onnx').read_bytes())
    Path('model.onnx').write_bytes(made[0])
    return Path('model.onnx')


@pytest.fixture(scope='module')
def made() -> list[bytes]:
    """What :func:`classifier` has made."""
    return []


@pytest.fixture
def photo(tmp_path) -> Path:
    """A part of a photograph of which no side is a round number."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    Image.fromarray(load_sample_image('china.jpg')[40:151, 150:289]).save(folder / 'photo.png')
    return folder / 'photo.png'


def differences(kind: str, one: object, other: object) -> float:
    """How far two predictions are apart, of what the kind predicts."""
    if kind.startswith('classify'):
        assert one['pred_class'] == other['pred_class']
        return np.abs(np.subtract(one['pred_scores'], other['pred_scores'])).max()
    if kind == 'segment':
        assert one.keys() == other.keys()
        return max(abs(one[name] - other[name]) for name in one)
    if kind == 'pose':
        (one,), (other,) = one, other
        assert one.keys() == other.keys()
        assert np.allclose(one['keypoint_scores'], other['keypoint_scores'], atol=1e-3)
        return np.abs(np.subtract(one['keypoints'], other['keypoints'])).max() / 100
    assert one['labels'][:5] == other['labels'][:5] and len(one['labels']) == len(other['labels'])
    assert np.allclose(one['bboxes'][:5], other['bboxes'][:5], atol=0.5)
    return np.abs(np.subtract(one['scores'], other['scores'])).max()


@pytest.mark.parametrize('kind', KINDS)
def test_files_predict_as_the_models(kind, export, run_main, random_weights, photo, capsys) -> None:
    """Whatever the inference tools find in a photograph, the file finds without PyTorch."""
    name, args = KINDS[kind]
    config, inputs = CONFIGS / f'{name}.py', photo
    if kind == 'classify_video':
        videos = make_mini.make('kinetics', photo.parent, counts=dict(val=1)) / 'videos_val'
        inputs = next(videos.iterdir())
    assert export(kind, 'model.onnx', *args) == 0
    said = capsys.readouterr().out
    shapes = 2 if '--size' in args else 6
    assert f'Largest difference from the model at {shapes} shapes of noise: ' in said
    assert 'times as fast as the model in PyTorch' in said

    options = args[args.index('--cfg-options') :] if '--cfg-options' in args else []
    tool = f'tools/inference/{kind}.py'
    saving = ['--out-dir', 'tool', '--save-predictions', *options]
    assert run_main(tool, config, random_weights(config), inputs, *saving) == 0
    assert run_main(PREDICT, 'model.onnx', inputs, '--out', 'file') == 0
    if kind == 'detect':
        Image.open(photo).crop((0, 0, 99, 50)).save('wide.png')
        message = run_main(PREDICT, 'model.onnx', 'wide.png')
        assert 'wide.png: it becomes an input of 81 x 160, the file takes 128 x 160' in message
    of_tool, of_file = (
        json.loads(next(Path(folder, 'preds').glob('*.json')).read_text())
        for folder in ('tool', 'file')
    )
    assert differences(kind, of_file, of_tool) < 1e-3
    pictures = [next(Path(folder, 'vis').iterdir()) for folder in ('tool', 'file')]
    assert pictures[0].name == pictures[1].name
    if kind == 'pose':
        check_people_of_a_detector(run_main, photo)


def check_people_of_a_detector(run_main, photo) -> None:
    """A pose file takes the boxes of a detector's file that are likely, and of the right class."""
    boxes = np.float32([[10, 5, 80, 90], [20, 8, 60, 70], [0, 0, 30, 30], [7, 9, 44, 99]])
    found = dict(
        boxes=boxes,
        scores=np.float32([0.9, 0.8, 0.5, 0.2]),
        labels=np.int64([1, 0, 1, 1]),
        masks=np.zeros((4, 2, 2), np.float32),
    )
    values = dict(channels='RGB', mean=[0.0], std=[1.0], pad_divisor=1, pad_value=0)
    meta = dict(task='detection', steps=[], values=values)
    meta['input'] = dict(name='images', shape=['batch', 3, 'height', 'width'])
    constants = [onnx.numpy_helper.from_array(value[None]) for value in found.values()]
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node('Constant', [], [name], value=value)
            for name, value in zip(found, constants, strict=True)
        ],
        'detector',
        [onnx.helper.make_tensor_value_info('images', 1, meta['input']['shape'])],
        [
            onnx.helper.make_tensor_value_info(name, value.data_type, value.dims)
            for name, value in zip(found, constants, strict=True)
        ],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8
    )
    onnx.helper.set_model_props(model, {'uniformer_mm': json.dumps(meta)})
    onnx.save(model, 'people.onnx')
    given = [arg for i in (0, 2) for arg in ('--box', *boxes[i].tolist())]
    people = []
    for args in (['--detector', 'people.onnx', '--label', 1], given):
        assert run_main(PREDICT, 'model.onnx', photo, '--out', 'people', '--overwrite', *args) == 0
        people.append(json.loads(Path('people/preds/photo.json').read_text()))
    assert [round(person.pop('bbox_score'), 3) for person in people[0]] == [0.9, 0.5]
    assert [person.pop('bbox_score') for person in people[1]] == [1.0, 1.0]
    assert people[0] == people[1]


def test_predict_imports_no_pytorch(classifier, photo) -> None:
    program = (
        f'import runpy, sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); '
        f'sys.argv[0] = "predict.py"; sys.path.insert(0, {str(REPO / "tools/deploy")!r}); '
        f'runpy.run_path({str(REPO / PREDICT)!r}, run_name="__main__")'
    )
    command = [sys.executable, '-c', program, str(classifier), str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found['prediction']['pred_scores']) == 10


def test_what_a_file_says_of_itself(classifier) -> None:
    session = onnxruntime.InferenceSession(classifier)
    meta = json.loads(session.get_modelmeta().custom_metadata_map['uniformer_mm'])
    assert meta['task'] == 'classification'
    assert meta['head_dim'] == 32
    assert meta['classes'][3] == 'digit 3'
    assert meta['values']['mean'] == [123.675, 116.28, 103.53]
    assert meta['values']['channels'] == 'RGB'
    assert [step['step'] for step in meta['steps']] == ['resize_short', 'crop']
    assert meta['input'] == dict(name='images', shape=['batch', 3, 56, 56])


@pytest.mark.parametrize('precision', ['fp16', 'int8'])
def test_precisions(export, classifier, capsys, precision) -> None:
    assert export('classify', 'small.onnx', '--size', '56', '--precision', precision) == 0
    assert Path('small.onnx').stat().st_size < 0.6 * classifier.stat().st_size
    assert onnxruntime.InferenceSession('small.onnx').get_inputs()[0].type == 'tensor(float)'
    said = capsys.readouterr().out
    assert ('matrix products are int8' in said) == (precision == 'int8')


@pytest.mark.parametrize('out', ['model.pt2', 'model.xml'])
def test_other_formats(export, out) -> None:
    if out.endswith('.xml'):
        pytest.importorskip('openvino')
    assert export('classify', out) == 0  # of 56 pixels, one token in the last stage
    names = {path.name for path in Path().iterdir() if path.is_file()}
    assert names == ({'model.pt2'} if out.endswith('.pt2') else {'model.xml', 'model.bin'})


def test_a_file_that_differs_is_not_kept(export) -> None:
    message = export('classify', 'model.onnx', '--size', '56', '--tolerance', '0')
    assert message.startswith('error: model.onnx is not kept: it differs from the model by ')
    assert not list(Path().glob('*model*'))


def test_errors_of_the_export(export, capsys) -> None:
    assert export('classify', 'model.tflite') == 2
    assert 'expected a name that ends with .onnx or .pt2 or .xml' in capsys.readouterr().err
    assert export('classify', 'model.xml', '--precision', 'int8') == 2
    assert '--precision int8 is for .onnx' in capsys.readouterr().err
    Path('there.onnx').touch()
    assert 'there.onnx exists already; add --overwrite' in export('classify', 'there.onnx')
    gone = export('classify', 'a.onnx', weights='nothing.pth')
    assert gone == 'error: There is no checkpoint nothing.pth.'
    heads = export('classify', 'a.onnx', '--cfg-options', 'model.head.num_classes=5')
    assert 'does not fit' in heads
    pipeline = 'test_dataloader.dataset.pipeline.1'
    step = export('classify', 'a.onnx', '--cfg-options', f'{pipeline}.type=Rotate')
    assert step.startswith(f'error: {pipeline} is Rotate, which an exported file cannot repeat')
    edge = export('classify', 'a.onnx', '--cfg-options', f'{pipeline}.edge=long')
    assert edge.startswith(f"error: {pipeline} (ResizeEdge) cannot be exported: edge='long'")
    slide = export('segment', 'a.onnx', '--cfg-options', 'model.test_cfg.mode=slide')
    assert slide.startswith("error: model.test_cfg.mode cannot be exported: it is 'slide'")
    size = export('classify', 'a.onnx', '--size', '64')
    assert 'makes images of 56 x 56: drop the option' in size
    people = export('pose', 'a.onnx', '--classes', 'names.txt')
    assert people == 'error: --classes: a pose model tells no classes apart.'
    assert not Path('a.onnx').exists()


def test_errors_of_predict(classifier, run_main, photo) -> None:
    Path('cut.onnx').write_bytes(classifier.read_bytes()[:5000])
    bare = onnx.load(classifier)
    del bare.metadata_props[:]
    onnx.save(bare, 'bare.onnx')
    Path('text.jpg').write_text('no image')
    Path('empty').mkdir()
    Path('half.png').write_bytes(photo.read_bytes()[:3000])
    for args, said in {
        ('cut.onnx', photo): 'cut.onnx is no ONNX file that can be run: ',
        ('none.onnx', photo): 'none.onnx is no ONNX file that can be run: there is no such file',
        ('bare.onnx', photo): 'bare.onnx says nothing of its images and classes',
        ('model.onnx', 'empty'): 'empty holds no file that ends with .jpg, ',
        ('model.onnx', 'film.mp4'): 'film.mp4: this file takes .jpg, ',
        ('model.onnx', 'none.png'): 'none.png: there is no such file',
        ('model.onnx', 'text.jpg'): 'text.jpg: no whole image (cannot identify',
        ('model.onnx', 'half.png'): 'half.png: no whole image (',
        ('model.onnx', photo, '--box', 1, 2, 3, 4): '--box and --detector are for pose',
    }.items():
        message = run_main(PREDICT, *args)
        assert message.startswith('error: ') and said in message, message
    assert run_main(PREDICT, 'model.onnx', photo, '--out', 'out') == 0
    assert 'photo.png exists already; add --overwrite' in run_main(
        PREDICT, 'model.onnx', photo, '--out', 'out'
    )


TRANSFORMED = (
    (
        'mmpretrain',
        CLASSIFIER,
        dict(type='ResizeEdge', scale=64, backend='pillow', interpolation='bicubic'),
    ),
    ('mmpretrain', CLASSIFIER, dict(type='ResizeEdge', scale=301)),
    ('mmpretrain', CLASSIFIER, dict(type='CenterCrop', crop_size=64)),
    ('mmdet', DETECTOR, dict(type='Resize', scale=(233, 120), keep_ratio=True)),
    ('mmseg', SEGMENTOR, dict(type='Resize', scale=(150, 120))),
    ('mmseg', SEGMENTOR, dict(type='ResizeToMultiple', size_divisor=32)),
    ('mmseg', SEGMENTOR, dict(type='uniformer_mm.ResizeToAtLeast', size=250)),
    ('mmaction', RECOGNIZER, dict(type='Resize', scale=(-1, 97))),
    ('mmaction', RECOGNIZER, dict(type='CenterCrop', crop_size=(64, 96))),
    ('mmaction', RECOGNIZER, dict(type='uniformer_mm.FirstCrop', crop_size=211)),
)


@pytest.mark.parametrize(('library', 'task', 'transform'), TRANSFORMED)
def test_steps_are_the_transforms(library, task, transform) -> None:
    """A file repeats every transform of its library: some builds may round a pixel otherwise."""
    import pixels

    pytest.importorskip(library)
    image = load_sample_image('flower.jpg')[:211, :333]
    with TRANSFORMS.switch_scope_and_registry(library) as registry:
        built = registry.build(transform)
    if library == 'mmaction':
        data = dict(imgs=[image], img_shape=image.shape[:2], original_shape=image.shape[:2])
        (expected,) = built(data)['imgs']
    else:
        expected = built(dict(img=image, img_shape=image.shape[:2]))['img']
    options = {key: value for key, value in transform.items() if key != 'type'}
    found = pixels.apply(image, task.steps[transform['type']](**options))
    assert found.shape == expected.shape
    apart = np.abs(found.astype(int) - expected)
    assert apart.max() <= 1
    assert apart.mean() < 1e-4


def test_people_are_cropped_as_by_mmpose() -> None:
    import pixels

    transforms = pytest.importorskip('mmpose.datasets.transforms')
    image = load_sample_image('flower.jpg')[:211, :333]
    for box in ([10, 20, 90, 200], [-30.5, -9, 60, 33], [250, 100, 340, 220]):
        data = dict(img=image, bbox=np.float32([box]))
        data = transforms.GetBBoxCenterScale()(data)
        data = transforms.TopdownAffine(input_size=(96, 128))(data)
        center, size = pixels.fit_box(box, 1.25, 96 / 128)
        assert np.allclose(center, data['bbox_center'][0])
        assert np.allclose(size, data['bbox_scale'][0])
        found = pixels.crop_box(image, center, size, (128, 96))
        # OpenCV 4 rounds the places in the image to a 32nd of a pixel.
        assert np.abs(found.astype(int) - data['img']).mean() < 1


def test_frames_are_those_of_the_samplers() -> None:
    import pixels

    rules = dict(
        uniform=('mmaction.UniformSample', dict(clip_len=8, num_clips=2)),
        dense=('uniformer_mm.DenseClipSample', dict(clip_len=8, frame_interval=3, num_clips=4)),
        v0=('uniformer_mm.SampleFramesV0', dict(clip_len=8, frame_interval=3, num_clips=3)),
    )
    pytest.importorskip('mmaction.datasets')
    for rule, (name, options) in rules.items():
        sampler = TRANSFORMS.build(dict(type=name, test_mode=True, **options))
        step = dict(
            rule=rule,
            length=8,
            interval=options.get('frame_interval', 1),
            clips=options['num_clips'],
        )
        for total in (1, 7, 24, 100, 251):
            frames = sampler.transform(dict(total_frames=total, start_index=0))['frame_inds']
            assert (pixels.choose_frames(total, step).ravel() == frames).all()
