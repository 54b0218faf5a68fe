"""Hooks of mkdocs: pages and links that leave ``docs/``, all result tables, what commands need.

The pages of ``docs/`` and the READMEs are written for GitHub. The site has them under the same
paths below its root, and these hooks turn every link into one that works there. What a page links
to that is no page, such as a config, is copied into the site.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / 'docs'
PAGES = ('CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'configs/*/README.md')
# What GitHub shows in place of a page of the site.
STAND_INS = {REPO / 'README.md': DOCS / 'index.md', REPO / 'configs': DOCS / 'zoo.md'}
FENCED = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
BASH = re.compile(
    r'^(?:<!-- needs: (?P<said>[^\n]*) -->\n)?```bash\n(?P<commands>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
RUN = re.compile(r'tools/(?P<many>(?:dist|slurm)_)?(?P<task>train|test)\.(?:py|sh)')
# But for another environment, in which make installs nothing.
INSTALL = re.compile(r'(?<![\w/-])(?:\.venv/bin/)?(?:git|make|pip) (?!.*(?:PYTHON|VENV)=)')
CONFIG = re.compile(r'configs/(?!mini/)[\w/.-]+\.py')
MINI = re.compile(r'configs/mini/[\w/.-]+\.py')
MINI_BASE = re.compile(r"'(\.\./_base_/mini/[\w/.-]+\.py)'")
DEMO = re.compile(r'work_dirs/demo/(\w+)/')
WEIGHTS = re.compile(r' (?!work_dirs/|path/)[\w:/.-]+\.pth')
ROLE = re.compile(r':\w+:<code>(?:~[\w.]*\.)?([\w.]+)</code>')
LINK = re.compile(r'(?<=\]\()(?!https?:|#)([^)#\s]+)')
HEADING_OR_TABLE = re.compile(
    r'^(?P<level>#+) (?P<title>[^\n]*)$|<!-- table: \S+ -->\n(?P<table>.*?)<!-- /table -->',
    re.MULTILINE | re.DOTALL,
)
TABLES = '<!-- all tables -->'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside ``docs/``."""
    for pattern in PAGES:
        for path in REPO.glob(pattern):
            files.append(to_file(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the tables of the zoo, and let links and commands be those of the site."""
    source = Path(page.file.abs_src_path)
    markdown = BASH.sub(with_needs, markdown.replace(TABLES, all_tables()))

    def of_site(link: re.Match) -> str:
        target = (source.parent / link[1]).resolve()
        target = STAND_INS.get(target, target)
        if not target.is_file():
            return link[0]  # mkdocs names it, and fails
        uri = site_path(target)
        if uri not in files.src_uris:
            files.append(to_file(target, config))
        return '../' * page.file.src_uri.count('/') + uri

    return LINK.sub(of_site, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let names that a docstring refers to look like names."""
    return ROLE.sub(r'<code>\1</code>', html)


def with_needs(block: re.Match) -> str:
    """A block of commands with a title that says what they need."""
    needs = needs_of_block(block)
    title = f' title="Needs {", ".join(needs)}"' if needs else ''
    return f'```bash{title}\n{block["commands"]}```'


def needs_of_block(block: re.Match) -> list[str]:
    """What a block needs: its commands, and what a comment above it says."""
    return [*needs_of(block['commands']), *([block['said']] if block['said'] else [])]


def needs_of(commands: str) -> list[str]:
    """What commands need besides a checkout: data sets, GPUs, weights, a demo that has run."""
    needs: list[str] = []
    for command in commands.replace('\\\n', ' ').splitlines():
        command = command.partition('# ')[0]
        run, config, mini = (pattern.search(command) for pattern in (RUN, CONFIG, MINI))
        demo = DEMO.search(command)
        if run and config:
            needs.append(datasets()[config[0]])
        if run and mini and not demo:
            needs.append('the built-in data')
            demo = DEMO.search(start_of(REPO / mini[0]))
        if demo:
            needs.append('make demo' if demo[1] == 'cls' else f'make demo-{demo[1]}')
        if run and run['many']:
            needs += ['GPUs', 'Slurm'] if run['many'] == 'slurm_' else ['GPUs']
        elif run and run['task'] == 'train' and config:
            needs.append('a GPU')
        if WEIGHTS.search(command):
            needs.append('weights')
        if INSTALL.search(command):
            needs.append('a network, once')
    return list(dict.fromkeys(needs))


def start_of(config: Path) -> str:
    """What names the weights that a small config starts from: its text, or else its bases'."""
    text = config.read_text()
    if 'checkpoint=' in text:
        return text
    return '\n'.join((config.parent / base).read_text() for base in MINI_BASE.findall(text))


@cache
def datasets() -> dict[str, str]:
    """The data set of each config of a metafile."""
    return {
        model['Config']: model['Results'][0]['Dataset']
        for metafile in metafiles()
        for model in yaml.safe_load(metafile.read_text())['Models']
    }


def metafiles() -> list[Path]:
    """All metafiles, in the order of the index."""
    return [
        REPO / path for path in yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
    ]


def site_path(path: Path) -> str:
    """Where a file of the checkout is on the site."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else REPO).as_posix()


def to_file(path: Path, config: MkDocsConfig) -> File:
    """A file of the checkout outside ``docs/``."""
    return File(site_path(path), str(REPO), config.site_dir, config.use_directory_urls)


@cache
def all_tables() -> str:
    """The tables of ``configs/*/README.md`` below their headings, with links from the zoo."""
    readmes = [metafile.with_name('README.md') for metafile in metafiles()]
    return '\n\n'.join(part for readme in readmes for part in tables_of(readme))


def tables_of(readme: Path) -> Iterator[str]:
    """A heading that links to the README, and its tables with the headings they stand below."""
    folder = f'../{readme.parent.relative_to(REPO)}/'
    title = ''
    for found in HEADING_OR_TABLE.finditer(FENCED.sub('', readme.read_text())):
        if found['level'] == '#':
            yield f'## {found["title"]}\n\n[Recipe, commands, sources]({folder}README.md)'
        elif found['level']:
            title = f'### {found["title"]}\n\n'
        else:
            yield title + LINK.sub(rf'{folder}\1', found['table'])
            title = ''
