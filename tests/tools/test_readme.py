"""What README and docs point to is there, and their examples work."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from page_commands import BLOCK, PAGES, REPO
from PIL import Image

from uniformer_mm import UniFormer
from uniformer_mm.version import __version__


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        place, _, heading = link.partition('#')
        if place.startswith(('http:', 'https:')):
            continue
        target = page.parent / place if place else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r'^#+ (.*)$', target.read_text(), re.MULTILINE)
            slugs = [re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles]
            assert heading in slugs, link
    for block in BLOCK.findall(text):
        for file in re.findall(r'\b(?:tools|configs|requirements)/[\w./-]+\.\w+', block):
            assert (REPO / file).is_file(), file


def test_the_readme_is_short_and_has_its_picture() -> None:
    assert len((REPO / 'README.md').read_text().splitlines()) < 140
    picture = REPO / 'docs/demo.jpg'
    assert picture.stat().st_size < 150_000
    assert Image.open(picture).width == 800


def test_citation() -> None:
    citation = yaml.safe_load((REPO / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    papers = [citation['preferred-citation'], *citation['references']]
    assert [paper['url'][-10:] for paper in papers] == ['2201.09450', '2201.04676', '2112.04674']


def test_plain_pytorch_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the weights were fetched before."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    classifier = UniFormer('small', out_indices=(3,), final_norm=True).state_dict()
    torch.save({'model': classifier}, tmp_path / 'checkpoints/uniformer_small_in1k.pth')
    names: dict = {}
    blocks = re.findall(r'```python\n(.*?)```', (REPO / 'README.md').read_text(), re.DOTALL)
    (example,) = [block for block in blocks if 'fold_for_inference' in block]
    exec(example.replace('800, 1280', '64, 96'), names)
    assert [tuple(m.shape[2:]) for m in names['maps']] == [(16, 24), (8, 12), (4, 6), (2, 3)]
