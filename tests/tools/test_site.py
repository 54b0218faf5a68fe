"""The site of docs/ builds strictly, has all results and types, and fetches nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from browser import needs_browser, open_page
from page_commands import PAGES

from uniformer_mm import registry

sys.path.append(str(Path(__file__).parents[2] / 'tools/docs'))
import hooks  # noqa: E402

METAFILES = yaml.safe_load(Path(__file__).parents[2].joinpath('model-index.yml').read_text())
FETCHED = re.compile(r'<(?:iframe|img|link|script|source|video)\b[^>]*?\s(?:href|src)="([^"]*)"')
ROW = re.compile(r'<tr>(.*?)</tr>', re.DOTALL)
CELL = re.compile(r'<td>(.*?)</td>', re.DOTALL)


@pytest.fixture(scope='module')
def site(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: strict, so that every page of the navigation and every link is there."""
    out = tmp_path_factory.mktemp('site')
    subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--quiet', '--site-dir', str(out)],
        cwd=repo_root,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        check=True,
    )
    return out


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob('*.html'))
    assert len(pages) > 30
    for page in pages:
        addresses = FETCHED.findall(page.read_text())
        assert addresses, page
        for address in addresses:
            assert '//' not in address, (page, address)
            if page.name != '404.html':  # whose addresses begin at the root of a server
                assert (page.parent / re.split('[?#]', address)[0]).exists(), (page, address)
    for style in site.rglob('*.css'):
        assert not re.search(r'url\(["\']?(https?:)?//|@import', style.read_text()), style


@pytest.mark.parametrize('metafile', METAFILES['Import'], ids=lambda path: Path(path).parent.name)
def test_every_result_is_in_the_zoo(site: Path, repo_root: Path, metafile: str) -> None:
    text = re.sub(r'<(?!/?t[rd])[^>]*>', '', (site / 'zoo.html').read_text())
    rows = [cells for row in ROW.findall(text) if (cells := CELL.findall(row))]
    for model in yaml.safe_load((repo_root / metafile).read_text())['Models']:
        name, params = model['Metadata']['Model'], f'{model["Metadata"]["Parameters"] / 1e6:.2f} M'
        # Where nobody published a score, the cell has the note alone.
        score = str(next(iter(model['Results'][0]['Metrics'].values()), ''))
        assert any(
            re.fullmatch(rf'{re.escape(name)}( \[\d+\])?', row[0])
            and any(cell.startswith(params) for cell in row)
            and any(cell.startswith(score) for cell in row)
            for row in rows
        ), model['Name']


def test_every_type_is_in_the_reference(site: Path) -> None:
    text = ''.join(page.read_text() for page in (site / 'api').glob('*.html'))
    registries = [found for found in vars(registry).values() if hasattr(found, 'modules')]
    for found in registries:
        for type_name in {*found.module_dict, *found.modules}:
            # A class may bear another name than its type: TableEqualize is an Equalize.
            assert re.search(rf'id="[\w.]+\.(Table)?{type_name}"', text), type_name


def test_commands_say_what_they_need(site: Path, repo_root: Path) -> None:
    """Above them: data, demos, GPUs where there are many, or what a comment of the page says."""
    for page in PAGES:
        if page == repo_root / 'README.md':  # of which the site has docs/index.md
            continue
        path = page.relative_to(repo_root / 'docs' if 'docs' in page.parts else repo_root)
        built = site / str(path).replace('README.md', 'index.html').replace('.md', '.html')
        titles = re.findall(r'<span class="filename">Needs (.*?)</span>', built.read_text())
        blocks = [*hooks.BASH.finditer(page.read_text())]
        assert len(titles) == sum(bool(hooks.needs_of_block(block)) for block in blocks)
        many = [b for b in blocks if re.search('tools/(dist|slurm)_', b['commands'])]
        assert sum('GPUs' in title for title in titles) == len(many), page
        assert many or page.parts[-3] != 'configs'
    text = (site / 'tasks/video.html').read_text()
    assert 'Needs Kinetics-400, GPUs' in text
    assert 'Needs make demo-video' in text
    assert 'Needs MMAction2&#x27;s sources, a network' in (site / 'data.html').read_text()


@needs_browser
def test_the_search_needs_no_server(site: Path) -> None:
    asked, errors = [], []
    with open_page((site / 'zoo.html').as_uri(), asked, errors) as page:
        page.locator('.md-search__input').press_sequentially('preemption')
        page.locator('.md-search-result__item', has_text='PreemptionHook').first.wait_for()
    assert not errors
    assert all(url.startswith(('file:', 'data:')) for url in asked)
