"""Decoding videos with PyAV."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from uniformer_mm.registry import TRANSFORMS

if TYPE_CHECKING:
    from av import Packet, VideoCodecContext, VideoFrame
    from av.container import InputContainer

# Codecs that show one frame a packet and decode from a key frame without what is before it.
FRAME_A_PACKET = ('h264', 'hevc', 'vp9')


class _Video(NamedTuple):
    """A decoder, and the packets of a video in the order in which they are decoded."""

    decoder: VideoCodecContext
    packets: Sequence[Packet]

    def from_key_frames(self, chosen: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Numbers and frames, each from the key frame before it.

        Nothing where times do not number the frames, and not all where a key frame is none, or
        where frames are damaged.
        """
        from av.error import InvalidDataError

        packets = self.packets
        places = {packet.pts: place for place, packet in enumerate(packets)}
        if (
            self.decoder.codec.canonical_name not in FRAME_A_PACKET
            or None in places
            or len(places) < len(packets)
            or not packets[0].is_keyframe
            or packets[0].pts > min(places)
        ):
            return
        shown = sorted(packet.pts for packet in packets if not packet.is_discard)
        if max(chosen) >= len(shown):
            return
        keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        runs: dict[int, dict[int, int]] = {}  # numbers by time, by the place of the key frame
        for number in sorted(chosen):
            start = max(key for key in keys if packets[key].pts <= shown[number])
            runs.setdefault(start, {})[shown[number]] = number
        for start, numbers in runs.items():
            last = max(places[time] for time in numbers)
            begun = False
            try:
                for frame in self._decode(packets[start : last + 1], numbers):
                    if frame.pts < packets[start].pts:  # may need what is before the key frame
                        continue
                    begun |= frame.key_frame and frame.pts == packets[start].pts
                    if not begun or frame.is_corrupt:
                        return
                    if frame.pts in numbers:
                        yield numbers[frame.pts], frame
            except InvalidDataError:  # from_start() tells whether the video is damaged
                return

    def from_start(self, chosen: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Numbers and frames, counted; the last one again in place of those that never come."""
        number, frame = -1, None
        for number, frame in enumerate(self._decode(self.packets)):
            if number in chosen:
                yield number, frame
            if number == max(chosen):
                return
        if frame is not None:
            yield from ((missing, frame) for missing in chosen if missing > number)

    def _decode(
        self, packets: Sequence[Packet], times: Collection[int] | None = None
    ) -> Iterator[VideoFrame]:
        """All frames of these packets, or at least those of these times."""
        # HEVC's frames that none of their layer refers to may serve a layer above.
        skips = times is not None and self.decoder.codec.canonical_name == 'h264'
        self.decoder.flush_buffers()
        for packet in (*packets, None):
            unused = skips and packet is not None and packet.pts not in times
            self.decoder.skip_frame = 'NONREF' if unused else 'DEFAULT'
            yield from self.decoder.decode(packet)


def _open(content: bytes) -> InputContainer:
    """Open a video without decoding its first frames, where these tell nothing that is needed.

    FFmpeg decodes some to see how far H.264 frames are out of order, unless the stream says so.
    """
    import av

    container = av.open(io.BytesIO(content), options=dict(skip_frame='all'))
    for stream in container.streams.video[:1]:
        context = stream.codec_context
        if context.codec.canonical_name == 'h264' and context.has_b_frames:
            return container
    container.close()
    return av.open(io.BytesIO(content))


@TRANSFORMS.register_module()
class PyAVInit(BaseTransform):
    """Read the packets of a video and count its frames.

    mmaction2's ``PyAVInit`` believes the frame count in the header, which many containers lack and
    a truncated file does not keep. Here the packets of the video are counted, without decoding.

    Required key: ``filename``. Added keys, as by mmaction2's ``DecordInit``: ``video_reader``,
    ``total_frames`` and ``avg_fps``.

    Args:
        backend_args (dict, optional): Where files are read from, see :mod:`mmengine.fileio`.

    Raises:
        ValueError: If the file holds no video.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        content = fileio.get(results['filename'], backend_args=self.backend_args)
        if not content:
            raise ValueError('the file is empty')
        with _open(content) as container:
            if not container.streams.video:
                raise ValueError('the file holds no video')
            stream = container.streams.video[0]
            stream.thread_count = 1  # data workers share the cores already
            packets = [packet for packet in container.demux(stream) if packet.size > 0]
            rate = stream.average_rate
            results['video_reader'] = _Video(stream.codec_context, packets)
        # What an edit list leaves out counts too, as for decord: both miss frames at the end
        # then and repeat the last one.
        results['total_frames'] = len(packets)
        results['avg_fps'] = float(rate) if rate else None
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'


@TRANSFORMS.register_module()
class PyAVDecode(BaseTransform):
    """Decode the chosen frames, counted in the order in which they are shown.

    Unlike mmaction2's ``PyAVDecode`` it turns them by the quarter turns that the container asks
    for, as players and decord do, and where a video ends early it repeats the last frame instead of
    starting again.

    Only what the chosen frames need is decoded: from the last key frame that is not shown after a
    chosen frame up to that frame, and of H.264 without the frames that no other refers to. The
    times of the packets number the frames then. Where they cannot, because a packet has no time,
    two have the same, or the video does not begin with its first frame, where a packet may not be
    one frame (codecs other than H.264, HEVC and VP9), and where a frame is damaged or does not
    come from its key frame, all frames from the first on are decoded and counted. The frames are
    the same.

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
            return pixels if rest or not turns else np.ascontiguousarray(np.rot90(pixels, turns))

        chosen = np.reshape(results['frame_inds'], -1).tolist()
        numbers = {*chosen}
        video = results['video_reader']
        pictures: dict[int, np.ndarray] = {}
        for frames in (video.from_key_frames, video.from_start):
            if len(pictures) < len(numbers):
                pictures = {number: to_array(frame) for number, frame in frames(numbers)}
        if not pictures:
            raise ValueError('no frame can be decoded')
        # Transforms may write into a frame: no two share memory.
        repeats = len(numbers) < len(chosen)
        imgs = [pictures[number] for number in chosen]
        results['imgs'] = [picture.copy() for picture in imgs] if repeats else imgs
        results['video_reader'] = None
        results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
