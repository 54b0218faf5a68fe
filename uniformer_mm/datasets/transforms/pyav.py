"""Decoding videos with PyAV."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from uniformer_mm.registry import TRANSFORMS

if TYPE_CHECKING:
    from av import VideoFrame


@TRANSFORMS.register_module()
class PyAVInit(BaseTransform):
    """Open a video and count its frames.

    mmaction2's ``PyAVInit`` believes the frame count in the header, which many containers lack and
    a truncated file does not keep. Here the packets of the video are counted, without decoding.

    Required key: ``filename``. Added keys: ``video_reader``, ``total_frames`` and ``avg_fps``, as
    by mmaction2's ``DecordInit``.

    Args:
        backend_args (dict, optional): Where files are read from, see :mod:`mmengine.fileio`.

    Raises:
        ValueError: If the file holds no video.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        import av

        content = fileio.get(results['filename'], backend_args=self.backend_args)
        if not content:
            raise ValueError('the file is empty')
        with av.open(io.BytesIO(content)) as container:
            if not container.streams.video:
                raise ValueError('the file holds no video')
            # What an edit list leaves out counts too, as for decord: both miss frames at the end
            # then and repeat the last one.
            count = sum(packet.size > 0 for packet in container.demux(video=0))
        container = av.open(io.BytesIO(content))
        stream = container.streams.video[0]
        stream.thread_count = 1  # data workers share the cores already
        rate = stream.average_rate
        results['video_reader'] = container
        results['total_frames'] = count
        results['avg_fps'] = float(rate) if rate else None
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'


@TRANSFORMS.register_module()
class PyAVDecode(BaseTransform):
    """Decode the chosen frames, counted in the order in which they are shown.

    Unlike mmaction2's ``PyAVDecode`` it converts only the chosen frames to RGB, turns them by the
    quarter turns that the container asks for, as players and decord do, and where a video ends
    early it repeats the last frame instead of starting again.

    Required keys: ``video_reader``, ``frame_inds``. Added keys, as by mmaction2's decoders:
    ``imgs``, a list of (H, W, 3) uint8 RGB frames, ``original_shape`` and ``img_shape`` (height,
    width).

    Raises:
        ValueError: If no frame can be decoded.
    """

    def transform(self, results: dict) -> dict:
        from av.video.reformatter import VideoReformatter

        reformatter = VideoReformatter()

        def to_array(frame: VideoFrame) -> np.ndarray:
            pixels = reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
            turns, rest = divmod(frame.rotation, 90)  # anticlockwise
            return pixels if rest else np.rot90(pixels, turns)

        chosen = np.reshape(results['frame_inds'], -1)
        pictures, last = {}, None
        with results['video_reader'] as container:
            for number, last in enumerate(container.decode(video=0)):
                if number in chosen:
                    pictures[number] = to_array(last)
                if number == chosen.max():
                    break
        if last is None:
            raise ValueError('no frame can be decoded')
        if len(pictures) < len(np.unique(chosen)):
            pictures |= dict.fromkeys({*chosen} - {*pictures}, to_array(last))
        # Stacking copies, so that no two frames share memory.
        results['imgs'] = list(np.stack([pictures[number] for number in chosen]))
        results['video_reader'] = None
        results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
