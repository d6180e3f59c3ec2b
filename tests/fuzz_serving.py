"""Broken requests by seed: each is refused in time, others are answered meanwhile, and the server gives its memory back.

    python -m tests.fuzz_serving --requests 10000 --seed 0

starts `scs-keras serve` with the model of tests/served_model.py on this machine, sends the requests to it, and prints
what was answered. It ends with 1 if a promise was broken. Everything stays on 127.0.0.1.
"""

import argparse
import asyncio
import base64
import collections
import gzip
import io
import json
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests import served_model
from tests.served_model import HEIGHT, NAME, TIME, WIDTH
from tests.serving_process import Server

IN_TIME = 5.0  # seconds for a refusal, on a machine that does nothing else
LONGER = 3.0  # seconds more after which a connection that sends nothing more must have ended
AT_ONCE = 8
REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"}
PREDICT = "/tensorflow.serving.PredictionService/Predict"
PATH = f"/v1/models/{NAME}:predict"


@dataclass
class Case:
    """A request: the bytes of an HTTP connection, or of a gRPC message.

    Attributes:
        kind: for the report.
        data: what is sent.
        grpc: whether it is a message.
        may_pass: chance may have left it a good request.
        rest: what is sent after a pause each, by a slow sender.
        hang_up: the client goes away; nobody is there for an answer.
    """

    kind: str
    data: bytes
    grpc: bool = False
    may_pass: bool = False
    rest: list[bytes] = field(default_factory=list)
    hang_up: bool = False


# REST -----------------------------------------------------------------------------------------------------------------


def http(body, path=PATH, method="POST", headers=(), length=None):
    body = body if isinstance(body, bytes) else body.encode()
    lines = [f"{method} {path} HTTP/1.1", "host: x", "connection: close", *headers]
    if not any(each.lower().startswith("transfer-encoding") for each in headers):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


def request(values, key="instances", signature="serving_default"):
    return json.dumps({"signature_name": signature, key: values})


def clip(dice):
    return np.random.default_rng(dice.getrandbits(32)).integers(0, 256, (TIME, HEIGHT, WIDTH, 1)).tolist()


def wrong_shape(dice):
    shape = [dice.choice([0, 1, 2, 3, 5, 40]) for _ in range(dice.randint(1, 5))]
    values = np.zeros(shape, int).tolist()
    if dice.random() < 0.3:
        values = clip(dice)
        values[dice.randrange(TIME)][dice.randrange(HEIGHT)].append([1])
    return http(request([values]))


def wrong_type(dice):
    values = clip(dice)
    place = values[dice.randrange(TIME)][dice.randrange(HEIGHT)][dice.randrange(WIDTH)]
    wrong = [
        "a",
        None,
        True,
        1.5,
        300,
        -1,
        2**64,
        1e300,
        [1],
        {},
        {"b64": "AAAA"},
        "\ud800",
        float("nan"),
        float("inf"),
    ]
    place[0] = dice.choice(wrong)
    return http(request([values]))


def wrong_words(dice):
    body = dice.choice(
        [
            {}, [], None, 5, {"instances": []}, {"inputs": {}}, {"instances": {}}, {"instances": [1], "inputs": [1]},
            {"signature_name": 5, "instances": [1]}, {"signature_name": "no", "instances": [1]},
            {"inputs": {"frames": [1], "x": 1}}, {"instances": [{"x": 1}]}, {"instances": [{"frames": 1}, 2]},
            {"signature_name": "step", "inputs": {"frame": [1]}}, {"instances": "x" * dice.randint(0, 3000)},
        ]
    )  # fmt: skip
    return http(json.dumps(body))


def garbage(dice):
    body = bytearray(request([clip(dice)]).encode())
    for _ in range(dice.randint(1, 20)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return http(
        bytes(body[: dice.randrange(len(body))]) if dice.random() < 0.5 else dice.randbytes(dice.randint(0, 3000))
    )


def nesting(dice):
    depth = dice.choice([1_001, 5_000, 100_000, 500_000])
    opening, closing = dice.choice([("[", "]"), ('{"a":', "}")])
    key = dice.choice(["instances", "inputs", "x"])
    closed = closing * depth if dice.random() < 0.5 else ""
    return http(f'{{"{key}": {opening * depth}1{closed}}}')


def numbers(dice):
    long = dice.choice(["1e400", "9" * 5000, "-" * 50, "0x10", "1e", "1" + "0" * 400, "00", "-Inf", "1_0", ".5", "+1"])
    return http(f'{{"instances": [[[[[{long}]]]]]}}')


def picture(kind, dice):
    from PIL import Image

    written = io.BytesIO()
    pixels = np.random.default_rng(dice.getrandbits(32)).integers(0, 256, (HEIGHT, WIDTH), "uint8")
    Image.fromarray(pixels).save(written, kind)
    return bytearray(written.getvalue())


def of_files(files):
    return request([[{"b64": base64.b64encode(file).decode()} for file in files]], signature="serve_bytes")


def broken_picture(dice):
    kind = dice.choice(["PNG", "JPEG", "GIF", "BMP"])
    files = [picture(kind, dice) for _ in range(TIME)]
    spoiled = files[dice.randrange(TIME)]
    for _ in range(dice.randint(1, 10)):
        spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
    del spoiled[dice.randrange(len(spoiled)) :]
    return http(of_files(files))


def png(height, width, data):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


ZEROS = zlib.compress(bytes(20_000_000), 9)


def bomb(dice):
    side = dice.choice([5_000, 20_000, 60_000, 2**31 - 1])
    files = [
        png(side, side, ZEROS),
        b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0" + bytes(300),
        b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 100, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(46),
        png(HEIGHT, WIDTH + 1, ZEROS),
    ]
    return http(of_files([dice.choice(files)] * TIME))


def base64_text(dice):
    wrong = ["*", "A", "AAA", "====", "AAAA\n", "AA-_", "é", "A" * 999, 5, None, [], {}]
    item = {"b64": dice.choice(wrong)} if dice.random() < 0.8 else {"b64": "AAAA", "x": 1}
    return http(request([[item] * TIME], signature="serve_bytes"))


GZIPPED = gzip.compress(bytes(200_000_000), 9, mtime=0)


def gzipped(dice):
    good = gzip.compress(request([clip(dice)]).encode(), mtime=0)
    body = dice.choice(
        [GZIPPED, good[: dice.randrange(len(good))], b"no gzip", gzip.compress(b"{", mtime=0), b"", good[:-4] + b"abcd"]
    )
    return http(body, headers=["content-encoding: gzip"])


def coding(dice):
    return http(
        request([clip(dice)]), headers=[f"content-encoding: {dice.choice(['br', 'deflate', 'x', 'gzip, gzip'])}"]
    )


def paths(dice):
    path = dice.choice(
        [
            "/v1/models/none:predict", "/v1/models/../../etc/passwd", "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd:predict",
            f"/v1/models/{NAME}/versions/99999999999999999999:predict", f"/v1/models/{NAME}/versions/-1:predict",
            f"/v1/models/{NAME}/versions/9:predict", f"/v1/models/{NAME}/labels/none:predict", "/v1/", "/v1/models/",
            f"/v1/models/{NAME}:nothing", f"/v1/models/{NAME}\\x", "/none", "/%00", "/..%2f..%2fetc/passwd", "//etc/passwd",
            f"/v1/models/{NAME}%00:predict", "/v1/models/" + "a" * dice.choice([10, 5_000]) + ":predict", "/%ff%fe",
        ]
    )  # fmt: skip
    return http(request([1]), path, dice.choice(["POST", "PUT", "PATCH"]))


def protocol(dice):
    body = request([clip(dice)])
    return dice.choice(
        [
            b"\0" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", dice.randbytes(300) + b"\r\n\r\n",
            http(body, length=-5), http(body, length="x"), http(body, length=10**12), http(body, length=2**70),
            http(b"zz\r\n", headers=["transfer-encoding: chunked"]),
            http(b"ffffffffffffffff\r\nabc", headers=["transfer-encoding: chunked"]),
            http(body, headers=["a: " + "b" * 200_000]), http(body, headers=[f"h{index}: x" for index in range(30_000)]),
            http(body, headers=["no colon"]), http(body, "/" + "a" * 200_000),
        ]
    )  # fmt: skip


def sessions(dice):
    path = dice.choice(["/v1/sessions/none:step", "/v1/sessions/none:reset", "/v1/sessions/none", "/v1/sessions/:step"])
    body = dice.choice([b"{}", b'{"frame": 1}', dice.randbytes(50), b""])
    if dice.random() < 0.4:
        new = [{"model": 5}, {"model": "none"}, {"model": NAME, "version": "x"}, {"model": NAME, "label": "no"}, []]
        path, body = "/v1/sessions", json.dumps(dice.choice(new))
    kind = dice.choice(["application/json", "application/octet-stream", "image/png", "x"])
    return http(body, path, headers=[f"content-type: {kind}"])


def half(dice):
    data = http(request([clip(dice)]))
    return data[: dice.randrange(1, len(data))]


# gRPC -----------------------------------------------------------------------------------------------------------------


def message(dice, change):
    from tensorflow_serving.apis import predict_pb2

    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = NAME, "serving_default"
    tensor = made.inputs["frames"]
    tensor.dtype = 4
    for size in (1, TIME, HEIGHT, WIDTH, 1):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = bytes(TIME * HEIGHT * WIDTH)
    change(made, tensor, dice)
    return made.SerializeToString(deterministic=True)


def _sizes(made, tensor, dice):
    sizes = [0, 1, 3, 5, -1, -2, 2**20, 2**31, 2**62, 2**63 - 1]
    dice.choice(tensor.tensor_shape.dim[1:]).size = dice.choice(sizes)
    if dice.random() < 0.5:
        dice.choice(tensor.tensor_shape.dim).size = dice.choice(sizes)
    if [each.size for each in tensor.tensor_shape.dim] == [1, TIME, HEIGHT, WIDTH, 1]:
        tensor.tensor_shape.dim.add(size=1)
    if dice.random() < 0.3:
        tensor.tensor_content = b""


def _types(made, tensor, dice):
    tensor.dtype = dice.choice([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 14, 19, 20, 21, 101, 104, 999, -5])


def _contents(made, tensor, dice):
    tensor.tensor_content = dice.randbytes(dice.choice([1, 10, TIME * HEIGHT * WIDTH - 1, 100_000]))
    if dice.random() < 0.3:
        tensor.tensor_content = b""
        tensor.tensor_shape.unknown_rank = True
        tensor.float_val.extend([1.0] * 5)


def _names(made, tensor, dice):
    spec = made.model_spec
    [
        lambda: made.ClearField("model_spec"),
        lambda: setattr(spec, "name", dice.choice(["none", "", "../../etc/passwd", "a" * 5000])),
        lambda: setattr(spec, "signature_name", "none"),
        lambda: setattr(spec.version, "value", dice.choice([9, -1, 2**63 - 1])),
        lambda: setattr(spec, "version_label", "none"),
        lambda: made.inputs["other"].CopyFrom(tensor),
        lambda: made.inputs.clear(),
        lambda: made.output_filter.extend(["labels", "labels"]),
        lambda: made.output_filter.append("none"),
    ][dice.randrange(9)]()


def _files(made, tensor, dice):
    made.model_spec.signature_name = "serve_bytes"
    made.inputs.clear()
    tensor = made.inputs["frames_bytes"]
    tensor.dtype = 7
    for size in (1, TIME):
        tensor.tensor_shape.dim.add(size=size)
    files = [png(60_000, 60_000, ZEROS), b"", b"\xff\xd8\xff", bytes(picture("PNG", dice)[:60])]
    tensor.string_val.extend([dice.choice(files)] * dice.choice([TIME, TIME, 1, TIME + 1]))


def truncated(dice):
    whole = message(dice, lambda *_: None)
    return whole[: dice.randrange(1, len(whole))] if dice.random() < 0.6 else dice.randbytes(dice.randint(1, 500))


MESSAGES = dict(sizes=_sizes, types=_types, contents=_contents, names=_names, files=_files)
BODIES = (
    wrong_shape, wrong_type, wrong_words, garbage, nesting, numbers, broken_picture, bomb, base64_text, gzipped, coding,
    paths, protocol, sessions,
)  # fmt: skip
LUCKY = {"garbage", "broken_picture", "contents", "coding"}  # may be left good by chance


def cases(count, seed):
    """So many requests, the same for a seed."""
    dice = random.Random(seed)
    for _ in range(count):
        choice = dice.random()
        if choice < 0.01:
            data, size = half(dice), dice.choice([1, 20])
            yield Case("slow sender", data[:size], rest=[data[at : at + 1] for at in range(size, len(data))])
        elif choice < 0.05:
            yield Case("half-sent", half(dice), hang_up=True)
        elif choice < 0.3:
            kind = dice.choice([*MESSAGES, "truncated"])
            data = truncated(dice) if kind == "truncated" else message(dice, MESSAGES[kind])
            yield Case(f"gRPC {kind}", data, grpc=True, may_pass=kind in LUCKY)
        else:
            make = dice.choice(BODIES)
            yield Case(make.__name__, make(dice), may_pass=make.__name__ in LUCKY)


# What is done with them -----------------------------------------------------------------------------------------------


class Fuzzer:
    """Sends cases, `AT_ONCE` at a time, while a neighbour's good requests are answered.

    Args:
        server: of tests.serving_process.
        in_time: seconds for a refusal.

    Attributes:
        broken: promises that were, with the case.
        answers: how often each answer was given, by kind.
    """

    def __init__(self, server, in_time=IN_TIME):
        self.server, self.in_time = server, in_time
        self.broken: list[str] = []
        self.answers: collections.Counter = collections.Counter()
        self.slowest = self.neighbours = 0.0
        self.count_of_neighbour = 0

    async def run(self, made):
        import grpc

        self._channel = grpc.aio.insecure_channel(self.server.grpc)
        self._call = self._channel.unary_unary(PREDICT)
        good = request([served_model.clips(1)[0].tolist()])
        expected = np.round(served_model.expected(served_model.clips(1))[0][0].ravel(), 4)
        neighbour = asyncio.create_task(self._neighbour(http(good), expected))
        waiting = iter(made)
        await asyncio.gather(*(self._worker(waiting) for _ in range(AT_ONCE)))
        neighbour.cancel()
        await self._channel.close()

    async def _worker(self, waiting):
        for case in waiting:
            began = time.monotonic()
            answer = await (self._message(case) if case.grpc else self._connection(case))
            took = time.monotonic() - began
            self.answers[case.kind, answer] += 1
            allowed = self.in_time + (LONGER if case.rest or case.hang_up else 0.0)
            if case.kind not in ("slow sender", "half-sent"):
                self.slowest = max(self.slowest, took)
            fine = re.fullmatch(r"4\d\d", answer) or answer in REFUSED or (case.may_pass and answer in ("200", "OK"))
            gone = answer == "closed" and (case.rest or case.hang_up or case.kind == "protocol")
            if took > allowed or not (fine or gone):
                self.broken.append(f"{case.kind}: {answer} after {took:.1f} s; sent {case.data[:300]!r}")

    async def _message(self, case):
        import grpc

        try:
            await self._call(case.data, timeout=30 + self.in_time)
            return "OK"
        except grpc.aio.AioRpcError as error:
            return error.code().name

    async def _connection(self, case):
        try:
            reader, writer = await asyncio.open_connection(*self.server.rest.split("//")[1].split(":"))
        except OSError as error:
            return f"no connection: {error}"
        try:
            writer.write(case.data)
            if case.hang_up:
                return "closed"
            return await asyncio.wait_for(self._answer(reader, writer, case.rest), 30 + self.in_time)
        except (ConnectionError, asyncio.IncompleteReadError):
            return "closed"
        except TimeoutError:
            return "nothing"
        finally:
            writer.close()

    async def _answer(self, reader, writer, rest):
        sender = asyncio.create_task(_slowly(writer, rest)) if rest else None
        try:
            line = await reader.readline()
        finally:
            if sender:
                sender.cancel()
        found = re.match(rb"HTTP/1\.[01] (\d+)", line)
        return found[1].decode() if found else "closed"

    async def _neighbour(self, data, expected):
        while True:
            began = time.monotonic()
            try:
                answer = await asyncio.wait_for(self._whole(data), 30 + self.in_time)
                made = json.loads(answer.split(b"\r\n\r\n", 1)[1])["predictions"][0]["output"]
                if np.abs(np.array(made).ravel() - expected).max() > 1e-3:
                    self.broken.append("a neighbour was answered wrongly")
            except (OSError, ValueError, KeyError, IndexError, TimeoutError) as error:
                self.broken.append(f"a neighbour was not answered: {type(error).__name__} {error}")
            self.neighbours = max(self.neighbours, time.monotonic() - began)
            self.count_of_neighbour += 1
            await asyncio.sleep(0.05)

    async def _whole(self, data):
        reader, writer = await asyncio.open_connection(*self.server.rest.split("//")[1].split(":"))
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()


async def _slowly(writer, rest):
    for byte in rest:
        await asyncio.sleep(0.3)
        writer.write(byte)


def fuzz(server, count, seed, in_time=IN_TIME, patience=20.0):
    """The `Fuzzer` after so many cases, and by how many MB the server's memory has grown since the first of them."""
    first = Fuzzer(server, in_time)
    asyncio.run(first.run(list(cases(max(50, count // 10), seed + 1))))  # what it needs once
    before = server.megabytes()
    fuzzer = Fuzzer(server, in_time)
    asyncio.run(fuzzer.run(cases(count, seed)))
    fuzzer.broken += first.broken
    end = time.monotonic() + patience
    while (grown := server.megabytes() - before) > 50 and time.monotonic() < end:
        time.sleep(1)
    if grown > 50:
        fuzzer.broken.append(f"memory has grown by {grown:.0f} MB")
    if not server.runs():
        fuzzer.broken.append("the server has ended")
    return fuzzer, grown


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served_model.write(folder)
        with Server(Path(folder) / NAME, "--sessions") as server:
            began = time.monotonic()
            fuzzer, grown = fuzz(server, given.requests, given.seed)
    for (kind, answer), count in sorted(fuzzer.answers.items()):
        print(f"{kind:20} {answer:20} {count}")
    print(
        f"{given.requests} requests in {time.monotonic() - began:.0f} s; slowest refusal {fuzzer.slowest:.2f} s; "
        f"{fuzzer.count_of_neighbour} good requests meanwhile, slowest {fuzzer.neighbours:.2f} s; "
        f"memory {grown:+.0f} MB."
    )
    print(*fuzzer.broken[:50], sep="\n")
    sys.exit(bool(fuzzer.broken))


if __name__ == "__main__":
    main()
