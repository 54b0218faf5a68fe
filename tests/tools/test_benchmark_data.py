import json

from mini.clips import write_video
from PIL import Image
from small_data import moving_bar


def test_each_step_is_timed_beside_the_stock_one(run_tool, repo_root, tmp_path) -> None:
    write_video(tmp_path / '0.mp4', moving_bar(40, (64, 80)))
    (tmp_path / 'list.txt').write_text('0.mp4 0\n')
    config = tmp_path / 'config.py'
    base = repo_root / 'configs/_base_/datasets/kinetics400_16x4.py'
    files = dict(
        data_root='', ann_file=f'{tmp_path}/list.txt', data_prefix=dict(video=f'{tmp_path}')
    )
    config.write_text(
        f'_base_ = [{str(base)!r}]\ndefault_scope = "mmaction"\nmodel = dict(type="Recognizer3D")\n'
        f'train_dataloader = dict(dataset={files!r})\n'
    )
    output = tmp_path / 'results.json'
    sizes = ('--samples', 1, '--rounds', 1, '--json', output)
    done = run_tool('tools/analysis/benchmark_data.py', config, *sizes)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert list(results['config']['steps'])[:3] == [
        '0 PyAVInit',
        '1 DenseClipSample',
        '2 PyAVDecode',
    ]
    assert list(results['stock']['steps'])[:3] == [
        '0 DecordInit',
        '1 DenseClipSample',
        '2 DecordDecode',
    ]
    assert all(ms > 0 for result in results.values() for ms in result['steps'].values())
    assert 'speed / stock' in done.stdout


def test_images_beside_the_recipe_of_timm(run_tool, repo_root, tmp_path) -> None:
    (tmp_path / 'train/a').mkdir(parents=True)
    Image.new('RGB', (40, 30), 'red').save(tmp_path / 'train/a/0.jpg')
    config = tmp_path / 'config.py'
    base = repo_root / 'configs/imagenet/uniformer-small_8xb128_in1k.py'
    config.write_text(
        f'_base_ = [{str(base)!r}]\n'
        "train_dataloader = dict(dataset=dict(_delete_=True, type='CustomDataset',\n"
        f"    data_root={str(tmp_path)!r}, data_prefix='train', pipeline=_base_.train_pipeline))\n"
    )
    tool = repo_root / 'tools/analysis/benchmark_data.py'
    script = tmp_path / 'with_timm.py'
    script.write_text(
        'import runpy, sys, types\n'
        'from torchvision.transforms import Compose, RandomResizedCrop, ToTensor\n'
        'stub = types.ModuleType("timm.data")\n'
        'stub.create_transform = lambda size, **recipe: Compose(\n'
        '    [RandomResizedCrop(size), ToTensor()])\n'
        'sys.modules |= {"timm": types.ModuleType("timm"), "timm.data": stub}\n'
        f'runpy.run_path({str(tool)!r}, run_name="__main__")\n'
    )
    output = tmp_path / 'results.json'
    sizes = ('--timm', '--samples', 1, '--rounds', 1, '--json', output)
    done = run_tool(script, config, *sizes)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert list(results['timm']['steps']) == ['0 open_image', '1 RandomResizedCrop', '2 ToTensor']
    assert '3 TableRandAugment' in results['config']['steps']
    assert '3 RandAugment' in results['stock']['steps']
    assert 'speed / timm' in done.stdout
