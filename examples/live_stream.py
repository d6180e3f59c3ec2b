"""A served model follows a video file or a camera; each frame's answer and latency are shown.

scs-keras serve DIR                                                  # in another window
python examples/live_stream.py localhost:8500 NAME video.mp4
python examples/live_stream.py http://localhost:8501 NAME /dev/video0
"""

import argparse
import time
from collections.abc import Iterator

import av
import numpy as np

from scs_keras.serving import Client


def frames_of(source: str, height: int, width: int, channels: int) -> Iterator[np.ndarray]:
    """uint8 (height, width, channels) of each frame; a camera gives them as they come."""
    try:
        camera = "v4l2" if source.startswith("/dev/") else None
        opened = av.open(source, format=camera, metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SystemExit(f"{source}: {reason}. Give a video file, or a camera such as /dev/video0 (Linux).") from None
    with opened as container:
        for frame in container.decode(video=0):
            pixels = frame.reformat(width, height, "gray" if channels == 1 else "rgb24").to_ndarray()
            yield pixels.reshape(height, width, channels)


def shown(answer: object) -> str:
    """The best class, or the mean of what is predicted."""
    if isinstance(answer, dict) and "labels" in answer:
        return str(np.ravel(answer["labels"])[0])
    values = answer if isinstance(answer, np.ndarray) else next(iter(dict(answer).values()))  # type: ignore
    return f"mean {np.mean(values):.3g}"


def main(arguments: list[str] | None = None) -> None:
    """Streams until the video ends or Ctrl+C."""
    parser = argparse.ArgumentParser(description="A served model follows a video file or a camera.")
    parser.add_argument("address", help="HOST:8500 for gRPC, http://HOST:8501 for REST")
    parser.add_argument("model", help="name of the served model")
    parser.add_argument("source", help="video file, or a camera such as /dev/video0")
    given = parser.parse_args(arguments)
    with Client(given.address, given.model) as client:
        stream, latencies = client.stream(), []
        _, height, width, channels = client.signatures()["step"].inputs["frame"].shape or ()
        try:
            for frame in frames_of(given.source, height, width, channels):
                began = time.perf_counter()
                answer = stream.step(frame)
                latencies.append(1000 * (time.perf_counter() - began))
                p50, p95 = np.percentile(latencies[-100:], (50, 95))
                line = f"frame {len(latencies)}: {shown(answer)}, {latencies[-1]:.1f} ms (p50 {p50:.1f}, p95 {p95:.1f})"
                print(f"\r{line:<100}", end="", flush=True)
        except KeyboardInterrupt:
            pass
        print()


if __name__ == "__main__":
    main()
