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
    markdown = markdown.replace(TABLES, all_tables())

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


def site_path(path: Path) -> str:
    """Where a file of the checkout is on the site."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else REPO).as_posix()


def to_file(path: Path, config: MkDocsConfig) -> File:
    """A file of the checkout outside ``docs/``."""
    return File(site_path(path), str(REPO), config.site_dir, config.use_directory_urls)


@cache
def all_tables() -> str:
    """The result tables of ``configs/*/README.md`` below their headings, with links from the zoo."""
    metafiles = yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
    readmes = [(REPO / metafile).with_name('README.md') for metafile in metafiles]
    return '\n\n'.join(part for readme in readmes for part in tables_of(readme))


def tables_of(readme: Path) -> Iterator[str]:
    """A heading that links to the README, and its tables with the headings they stand below."""
    folder = f'../{readme.parent.relative_to(REPO)}/'
    title = ''
    for found in HEADING_OR_TABLE.finditer(readme.read_text()):
        if found['level'] == '#':
            yield f'## {found["title"]}\n\n[Recipe, commands, sources]({folder}README.md)'
        elif found['level']:
            title = f'### {found["title"]}\n\n'
        else:
            yield title + LINK.sub(rf'{folder}\1', found['table'])
            title = ''
