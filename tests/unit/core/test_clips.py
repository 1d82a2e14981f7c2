"""Frames of videos and animated pictures: all of them, in time, and what is missing is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mlopsproject.core.clips import is_clip, open_clip
from mlopsproject.core.errors import ImageError

COUNT = 12


def gray(index: int) -> int:
    """The gray of a frame."""
    return 15 * (index % 12) + 20


def write_video(path: Path, code: str = "mp4v", count: int = COUNT, size: tuple[int, int] = (96, 64)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, size)
    assert writer.isOpened()
    rng = np.random.default_rng(0)
    for index in range(count):
        writer.write((gray(index) + rng.integers(-9, 10, (size[1], size[0], 3))).astype(np.uint8))
    writer.release()
    return path


def write_animation(path: Path, durations: list[int], **options: object) -> Path:
    frames = [Image.new("RGB", (40, 30), (gray(index),) * 3) for index in range(len(durations))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return path


def cut_off(path: Path, share: float) -> Path:
    """The first part of a file, under another name."""
    content = path.read_bytes()
    cut = path.with_name(f"cut-{path.name}")
    cut.write_bytes(content[: int(share * len(content))])
    return cut


@pytest.mark.parametrize(("suffix", "code"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "MJPG")])
def test_a_video_gives_every_frame_with_its_time(tmp_path: Path, suffix: str, code: str) -> None:
    clip = open_clip(write_video(tmp_path / f"clip{suffix}", code))
    frames = list(clip.frames())
    assert clip.announced == COUNT
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(COUNT)], abs=0.002)
    for frame in frames:
        assert (frame.image.mode, frame.image.size) == ("RGB", (96, 64))
        assert np.asarray(frame.image).mean() == pytest.approx(gray(frame.index), abs=4)


def test_colours_of_a_video_are_red_green_blue(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 64))
    writer.write(np.full((64, 64, 3), (0, 0, 255), np.uint8))  # OpenCV's order
    writer.release()
    (frame,) = open_clip(tmp_path / "red.avi").frames()
    red, green, blue = np.asarray(frame.image).mean(axis=(0, 1))
    assert red > 240
    assert max(green, blue) < 20


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_gives_every_frame_with_its_time(tmp_path: Path, suffix: str) -> None:
    path = write_animation(tmp_path / f"clip{suffix}", [100, 200, 40, 300])
    frames = list(open_clip(path).frames())
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.3, 0.34])
    for frame in frames:
        assert frame.image.mode in ("L", "RGB")
        assert np.asarray(frame.image).mean() == pytest.approx(gray(frame.index), abs=4)


def test_frames_without_a_duration_last_a_tenth_of_a_second_as_in_browsers(tmp_path: Path) -> None:
    frames = open_clip(write_animation(tmp_path / "clip.gif", [0, 10, 20, 0])).frames()
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.22])


@pytest.mark.parametrize("suffix", [".avi", ".gif"])
def test_every_nth_frame_keeps_its_number_and_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    path = write_video(path, "MJPG") if suffix == ".avi" else write_animation(path, [40] * COUNT)
    clip = open_clip(path)
    frames = list(clip.frames(every=5))
    assert [(frame.index, round(frame.time, 3)) for frame in frames] == [(0, 0.0), (5, 0.2), (10, 0.4)]
    assert [np.asarray(frame.image).mean() for frame in frames] == pytest.approx([20, 95, 170], abs=4)
    assert clip.read == COUNT


def write_noise(path: Path) -> Path:
    """An animation whose frames take about the same number of bytes each."""
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(COUNT)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    return path


def read_until_it_breaks(path: Path) -> tuple[list[int], ImageError]:
    frames = []
    with pytest.raises(ImageError) as caught:
        # `extend` keeps what came before the error.
        frames.extend(frame.index for frame in open_clip(path).frames())
    return frames, caught.value


@pytest.mark.parametrize("suffix", [".avi", ".gif", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_clip_that_breaks_off_gives_what_is_there_and_then_says_so(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"clip{suffix}"
    whole = write_video(path, "MJPG", 50) if suffix == ".avi" else write_noise(path)
    cut = cut_off(whole, share)
    assert is_clip(cut)
    frames, error = read_until_it_breaks(cut)
    assert error.reason == "truncated"
    assert f"the first {len(frames)} could be read" in error.message
    count = 50 if suffix == ".avi" else COUNT
    assert frames == list(range(len(frames)))
    assert count / 8 < len(frames) < count


def test_a_gif_that_ends_between_two_frames_is_noticed_too(tmp_path: Path) -> None:
    whole = write_noise(tmp_path / "clip.gif")
    second = whole.read_bytes().index(b"\x21\xf9\x04", 2000)  # the extension that opens a frame
    third = whole.read_bytes().index(b"\x21\xf9\x04", second + 3)
    cut = tmp_path / "cut.gif"
    cut.write_bytes(whole.read_bytes()[:third])
    frames, error = read_until_it_breaks(cut)
    assert "is cut off or corrupt; the first" in error.message
    assert frames
    cut.write_bytes(whole.read_bytes() + b"\0" * 20)
    assert len(list(open_clip(cut).frames())) == COUNT


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\0\0\0\x18ftypmp42" + b"\0" * 40])
def test_a_video_that_cannot_be_read_is_named_and_ffmpeg_adds_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    script = (
        "from pathlib import Path\nfrom mlopsproject.core.clips import open_clip\n"
        "from mlopsproject.core.errors import DataError\n"
        f"try:\n    open_clip(Path({str(tmp_path / 'clip.mp4')!r}))\nexcept DataError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "clip.mp4 is not a video that can be read" in done.stdout
    assert done.stderr == ""


def test_only_videos_and_pictures_of_several_frames_are_clips(tmp_path: Path, encode, smooth_picture) -> None:
    assert is_clip(write_animation(tmp_path / "moving.gif", [40, 40]))
    (tmp_path / "CLIP.MP4").touch()
    assert is_clip(tmp_path / "CLIP.MP4")
    for name in ("GIF", "PNG", "WEBP", "JPEG", "BMP"):
        (tmp_path / f"still.{name.lower()}").write_bytes(encode(smooth_picture(), name))
        assert not is_clip(tmp_path / f"still.{name.lower()}")
    (tmp_path / "text.gif").write_text("no picture")
    (tmp_path / "folder.mp4").mkdir()
    for name in ("text.gif", "folder.mp4", "missing.mp4"):
        assert not is_clip(tmp_path / name)
    assert not is_clip("https://example.org/clip.mp4")
