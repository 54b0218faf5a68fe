"""Open a page on which models show what they see in photographs and clips.

It has a tab for each model: of the demos (`make demo-all`), or of every --model, which is
followed by what the tool of its task in tools/inference takes, but for the input. Pictures are
those of these tools; classifiers also show what speaks for the class, as
tools/visualization/grad_cam.py does.

Examples:
    python tools/app.py
    python tools/app.py --model CONFIG CHECKPOINT --classes names.txt
    python tools/app.py --port 8000 --model CONFIG CHECKPOINT --model POSE_CONFIG POSE_CHECKPOINT \\
        --detector CONFIG CHECKPOINT
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from mmengine.registry import DefaultScope

from uniformer_mm import cli

REPO = Path(__file__).resolve().parents[1]
sys.path += [str(REPO / 'tools' / name) for name in ('demo', 'inference', 'visualization')]
import classify  # noqa: E402
import classify_video  # noqa: E402
import common  # noqa: E402
import detect  # noqa: E402
import grad_cam  # noqa: E402
import looking  # noqa: E402
import pose  # noqa: E402
import run as demo  # noqa: E402
import segment  # noqa: E402

if TYPE_CHECKING:
    import gradio
    import numpy as np
    from mmengine.infer import BaseInferencer

STAGES = [('none', 0), ('1', 1), ('2', 2), ('3', 3), ('4', 4)]
STAGE = 3  # small pictures, as those of the demos, leave a single place on the map of stage 4
HEIGHT = 320  # of a heat map, in pixels
KEPT = 3600  # seconds for which files that were dropped on the page, and pictures, are kept


# gradio's player trims with a program that the browser would fetch from another host.
HIDE_TRIMMING = '[title="Trim video to selection"], [title^="Reset video"] {display: none}'


class Task(NamedTuple):
    """What the page shows of the models of one library, and the tool that does the same."""

    title: str
    tool: ModuleType
    files: str


# By the config's default_scope.
TASKS = dict(
    mmpretrain=Task('Classify', classify, 'image'),
    mmdet=Task('Detect', detect, 'image'),
    mmseg=Task('Segment', segment, 'image'),
    mmpose=Task('Pose', pose, 'image'),
    mmaction=Task('Action', classify_video, 'video'),
)


class Model:
    """A model of the page, which is loaded when it is first asked.

    Args:
        arguments: Its config, its checkpoint, and options of the tool of its task.

    Raises:
        UserError: If one of them cannot be used.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.scope = cli.load_config(arguments[0])[0].get('default_scope')
        if self.scope not in TASKS:
            raise cli.UserError(f'{arguments[0]} is for {self.scope}: expected one of {[*TASKS]}.')
        self.task = TASKS[self.scope]
        self.args = self.task.tool.parse_args(arguments, files=False)
        self.cfg = common.read_config(self.args, self.scope)
        self.kind = looking.KINDS.get(self.scope)  # of what heat maps can be made

    @cached_property
    def inferencer(self) -> BaseInferencer:
        """The library's, with the trained model."""
        return self.task.tool.build_inferencer(self.cfg, self.args)

    @cached_property
    def look(self) -> common.Look:
        """What the tool sees in a file."""
        find = self.task.tool.make_find(self.inferencer, self.cfg, self.args)
        return find if self.task.files == 'video' else common.at_images(find)

    def heat(self, file: Path, stage: int) -> np.ndarray:
        """What of a file speaks for the likeliest class: a picture, (H, W, 3) uint8 RGB.

        Args:
            file: An image or video.
            stage: Whose map tells it, from 1.

        Raises:
            UserError: If the backbone is not one of this project, or pytorch-grad-cam is missing.
        """
        grad_cam.check(self.inferencer.model)
        sample, run = self.kind.read(self.inferencer, file), cli.library_of(self.cfg).task.run
        tiles = grad_cam.draw_maps(self.inferencer.model, run, sample, [stage], height=HEIGHT)
        return tiles[-1].picture


class Tab(NamedTuple):
    """A tab of the page: its title, and a model or what to do to have one."""

    title: str
    content: Model | str


def find_demos(folder: Path = REPO) -> list[Tab]:
    """A tab for each demo, with the model that ``make demo-all`` trained in a checkout."""
    tabs = []
    for scope, task in TASKS.items():
        name = cli.LIBRARIES[scope].extra
        part = demo.DEMOS[name]
        weights = folder / demo.OUT / name / f'{part.weights}.pth'
        target = 'demo' if name == 'cls' else f'demo-{name}'
        content = f'There is no trained model yet: `make {target}` makes {weights}.'
        if weights.is_file():
            classes = ['--classes', str(folder / part.classes)] if part.classes else []
            content = Model([str(folder / part.config), str(weights), *classes])
        tabs.append(Tab(task.title, content))
    return tabs


def build_page(tabs: list[Tab]) -> gradio.Blocks:
    """The page; everything on it is computed one request after the other."""
    import gradio as gr

    # MMEngine's default scope is one for all threads.
    queue = dict(concurrency_limit=1, concurrency_id='models')
    # Without the button that would send a picture to a server of Hugging Face.
    drawn = dict(format='png', interactive=False, buttons=['download', 'fullscreen'])

    def add_model(model: Model) -> None:
        heated = model.kind is not None
        gr.Markdown(f'`{Path(model.args.config).name}` with `{Path(model.args.checkpoint).name}`')
        with gr.Row():
            with gr.Column():
                if model.task.files == 'video':
                    dropped = gr.Video(label='Clip', sources='upload', buttons=[], height=HEIGHT)
                else:
                    dropped = gr.Image(
                        label='Photograph', sources=['upload', 'clipboard'], buttons=[]
                    )
                stage = gr.Radio(STAGES, value=STAGE, label='Heat map of stage', visible=heated)
                text = gr.Textbox(label='Found')
                shares = gr.Label(label='Shares', visible=False)
            with gr.Column():
                picture = gr.Image(label='Picture', show_label=False, **drawn)
                heat = gr.Image(label='Speaks for it', visible=heated, **drawn)

        def show_heat(path: Path, stage: int) -> np.ndarray | None:
            try:
                return model.heat(path, stage)
            except cli.UserError as error:  # a backbone of others has a prediction all the same
                gr.Warning(str(error))
                return None

        def show(file: dict | None, chosen: int) -> dict[gr.Component, Any]:
            if file is None:
                return {text: None, shares: gr.Label(visible=False), picture: None, heat: None}
            path = Path(file['path'])
            try:
                # Whichever model was asked last has left its own.
                with DefaultScope.overwrite_default_scope(model.scope):
                    found = model.look(path)
                    hot = show_heat(path, chosen) if heated and chosen else None
            except Exception as error:  # decoders and networks fail in many ways
                if cli.debugging():
                    traceback.print_exc()
                message = cli.explain(error) or f'{path.name}: {common.reason(error)}'
                raise gr.Error(message, print_exception=False) from error
            return {
                text: found.text,
                shares: gr.Label(found.shares, visible=found.shares is not None),
                picture: found.picture[..., ::-1],
                heat: hot,
            }

        # The file itself, as the tools read it: not what the page would make of it.
        gr.on(
            [dropped.upload, dropped.clear, stage.input],
            show,
            [dropped, stage],
            [text, shares, picture, heat],
            preprocess=False,
            api_name=model.task.title.lower(),
            **queue,
        )

    # What is dropped on the page is seen by nobody else, and is deleted.
    with gr.Blocks(
        title='uniformer_mm', analytics_enabled=False, delete_cache=(KEPT, KEPT)
    ) as page:
        gr.Markdown('# uniformer_mm')
        for tab in tabs:
            with gr.Tab(tab.title):
                if isinstance(tab.content, Model):
                    add_model(tab.content)
                else:
                    gr.Markdown(tab.content)
    return page


class OwnFilesOnly:
    """Have browsers ask no other host for what is on the page, whatever gradio puts there.

    Args:
        app: The server of the page.
    """

    POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        async def send_with_policy(message: dict) -> None:
            if message['type'] == 'http.response.start':
                policy = (b'content-security-policy', self.POLICY)
                message = {**message, 'headers': [*message.get('headers', ()), policy]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def open_page(page: gradio.Blocks, args: argparse.Namespace) -> str:
    """Serve the page in the background; returns its address.

    Raises:
        UserError: If host or port cannot be used.
    """
    from starlette.middleware import Middleware

    try:
        _, address, _ = page.launch(
            server_name=args.host,
            server_port=args.port,
            max_file_size=int(args.max_size * 2**20),
            share=False,
            app_kwargs=dict(middleware=[Middleware(OwnFilesOnly)]),
            css=HIDE_TRIMMING,
            ssr_mode=False,
            footer_links=[],
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise cli.UserError(
            f'{args.host} has no free port {args.port or "from 7860 to 7959"} to listen on: choose '
            'another --port or --host.'
        ) from error
    return address


def parse_args(args: list[str]) -> argparse.Namespace:
    """The options of the page, and in ``models`` the words behind every ``--model``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on; default: %(default)s, for this machine only',
    )
    parser.add_argument('--port', type=int, help='default: the first free one from 7860')
    parser.add_argument(
        '--max-size', type=float, default=50, help='of a file, in MiB; default: %(default)s'
    )
    parser.add_argument(
        '--model',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help="a model, and behind it options of its task's tool; may be repeated; comes last",
    )
    parts: list[list[str]] = [[]]
    for word in args:
        if word == '--model':
            parts.append([])
        else:
            parts[-1].append(word)
    own, *models = parts
    parsed = parser.parse_args(own)
    if [] in models:
        parser.error('--model: expected CONFIG and CHECKPOINT')
    parsed.models = models
    return parsed


def main() -> None:
    args = parse_args(sys.argv[1:])
    if find_spec('gradio') is None:
        raise cli.UserError("The page needs gradio: pip install 'uniformer-mm[app]'")
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    models = [Model(words) for words in args.models]
    tabs = [
        Tab(f'{model.task.title}: {Path(model.args.checkpoint).stem}', model) for model in models
    ]
    tabs = tabs or find_demos()
    page = build_page(tabs)
    print(f'{open_page(page, args)}   Ctrl-C ends it', flush=True)
    page.block_thread()


if __name__ == '__main__':
    cli.run_tool(main)
