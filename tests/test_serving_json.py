"""JSON of requests and answers, case by case as TF Serving's source has them; no server is needed."""

import base64
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from scs_keras.serving.server import json_answer, json_request, json_values
from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.server.pictures import check_pixels, size_of

MOST = 1000
FLOAT, INT, UINT8, STRING = ({"x": dtype} for dtype in ("float", "int32", "uint8", "string"))
TWO = {"a": "int32", "b": "string"}


def read(text, dtypes, most=MOST):
    return json_request.inputs_of(json_request.parse(text.encode()), dtypes, most)


def refused(text, dtypes, most=MOST):
    with pytest.raises(ServingError) as raised:
        read(text, dtypes, most)
    return raised.value.status, raised.value.message


@pytest.mark.parametrize(
    "text, dtypes, shape, values",
    [
        ('{"instances": [[1,2],[3,4],[5,6]]}', INT, (3, 2), [1, 2, 3, 4, 5, 6]),
        ('{"instances": [1, 2.0, 3, 5.003, 0.007, 0.0]}', FLOAT, (6,), [1, 2, 3, 5.003, 0.007, 0]),
        ('{"instances": [1.0, 2, 0.662]}', {"x": "double"}, (3,), [1, 2, 0.662]),
        ('{"inputs": 3.0}', FLOAT, (), [3]),
        ('{"inputs": 3}', UINT8, (), [3]),
        ('{"inputs": {"x": [[1.5]]}}', FLOAT, (1, 1), [1.5]),
        ('{"inputs": {"x": 1, "more": null}}', FLOAT, (), [1]),
        ('{"instances": [{"x": [1]}, {"x": [2]}]}', FLOAT, (2, 1), [1, 2]),
        ('{"instances": [[]]}', FLOAT, (1, 0), []),
        ('{"inputs": [[], []]}', INT, (2, 0), []),
        ('{"instances": [0, 255]}', UINT8, (2,), [0, 255]),
        ('{"instances": [-9223372036854775808, 9223372036854775807]}', {"x": "int64"}, (2,), [-(2**63), 2**63 - 1]),
        ('{"instances": [18446744073709551615]}', {"x": "uint64"}, (1,), [2**64 - 1]),
        ('{"instances": [true, false]}', {"x": "bool"}, (2,), [True, False]),
        ('{"instances": ["é", "\\u0000"]}', STRING, (2,), ["é".encode(), b"\0"]),
        ('{"instances": [{"b64": "aGVsbG8="}]}', STRING, (1,), [b"hello"]),
        ('{"inputs": {"b64": "aGVsbG8"}}', STRING, (), [b"hello"]),  # padding may be left out
        ('{"instances": [[{"b64": "AA=="}], ["b"]]}', STRING, (2, 1), [b"\0", b"b"]),
        ('{"instances": [1.0]} and more', FLOAT, (1,), [1]),
        ('{"instances": [1.0], "instances": [2.0]}', FLOAT, (1,), [1]),  # the first of a key counts
        ('\ufeff{"instances": [1.0]}', FLOAT, (1,), [1]),
        ('{"instances": [1e300, -1e300]}', FLOAT, (2,), [np.inf, -np.inf]),
        ('{"inputs": -1e300}', FLOAT, (), [-np.inf]),
        ('{"instances": [16777217]}', FLOAT, (1,), [16777216]),
        ('{"instances": [Inf, -Infinity, Infinity]}', FLOAT, (3,), [np.inf, -np.inf, np.inf]),
        ('{"unused": ' + "[" * 900 + "]" * 900 + ', "instances": [1]}', FLOAT, (1,), [1]),
    ],
)
def test_what_is_read(text, dtypes, shape, values):
    (array,) = read(text, dtypes).arrays.values()
    expected = {"float": "float32", "double": "float64", "string": "object"}
    dtype = dtypes["x"]
    assert array.dtype == expected.get(dtype, dtype) and array.shape == shape
    assert array.ravel().tolist() == (np.float32(values).tolist() if dtype == "float" else values)


def test_not_a_number_and_several_inputs():
    text = '{"instances": [{"a": [NaN, -NaN], "b": "u"}, {"b": {"b64": "dg=="}, "a": [1, 2]}]}'
    given = read(text, {"a": "float", "b": "string"})
    assert given.rows and np.isnan(given.arrays["a"][0]).all() and given.arrays["a"][1].tolist() == [1, 2]
    assert given.arrays["b"].tolist() == [b"u", b"v"]
    columns = read('{"inputs": {"a": [[1, 2]], "b": ["u", "v", "w"]}}', TWO)
    assert not columns.rows and columns.arrays["a"].shape == (1, 2) and columns.arrays["b"].shape == (3,)


@pytest.mark.parametrize(
    "text, dtypes, said",
    [
        ("", FLOAT, "JSON Parse error: The document is empty"),
        ("  ", FLOAT, "JSON Parse error: The document is empty. at offset: 2"),
        ("instances = [1, 2]", FLOAT, "JSON Parse error: Invalid value. at offset: 0"),
        ('{"instances": [1, 2]', FLOAT, "Missing a comma or '}' after an object member."),
        ('{"instances": [1e400]}', FLOAT, "JSON Parse error: Number too big to be stored in double."),
        ('{"instances": ["\\ud800"]}', STRING, "surrogate pair"),
        ("[1]", FLOAT, "Is not object"),
        ("NaN", FLOAT, "JSON Value: NaN Is not object"),
        ("{}", FLOAT, "Missing 'inputs' or 'instances' key"),
        ('{"inputs": 1, "instances": [1]}', FLOAT, "Not formatted correctly expecting only one of 'inputs' or 'inst"),
        ('{"instances": 1}', FLOAT, "Excepting 'instances' to be an list/array"),
        ('{"instances": []}', FLOAT, "No values in 'instances' array"),
        (
            '{"instances": [1.0]}',
            INT,
            "element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 1.0 Type: Nu",
        ),
        ('{"instances": [true]}', FLOAT, "JSON Value: true Type: True is not of expected type: float"),
        ('{"instances": [1, true]}', INT, "Failed to process element: 1 of"),
        ('{"instances": [null]}', FLOAT, "Type: Null is not of expected type: float"),
        ('{"instances": [1]}', STRING, "Type: Number is not of expected type: string"),
        ('{"instances": [1]}', {"x": "bool"}, "is not of expected type: bool"),
        ('{"inputs": {"x": {"b64": "AA=="}}}', FLOAT, "Type: Object is not of expected type: float"),
        ('{"instances": [3000000000]}', INT, "JSON Value: 3000000000 Type: Number is not of expected type: int32"),
        ('{"instances": [-1]}', {"x": "uint32"}, "is not of expected type: uint32"),
        ('{"instances": [300]}', UINT8, "JSON Value: 300 is out of the range of uint8: 0 to 255."),
        ('{"instances": [-129]}', {"x": "int8"}, "out of the range of int8: -128 to 127"),
        ('{"instances": [123456789012345678901234567890]}', {"x": "int64"}, "is not of expected type: int64"),
        ('{"instances": [[1,2],[3,4],[5,6,7]]}', INT, "Expecting tensor size: 2 but got: 3"),
        ('{"instances": [[1,2],[3,4],[[5,6]]]}', INT, "Expecting shape [2] but got: [1,2]"),
        ('{"instances": [1, [1]]}', INT, "Expecting shape [] but got: [1]"),
        ('{"inputs": [[1],[2,3]]}', INT, "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        ('{"inputs": [1,[2]]}', INT, "Encountered list at unexpected level: 1 expected < 1"),
        ('{"inputs": [[1],2]}', INT, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ('{"instances": [{"b64": "?"}]}', STRING, "Unable to base64 decode"),
        ('{"instances": [{"b64": "A-_A"}]}', STRING, "Unable to base64 decode"),
        ('{"instances": [[{"b64": "AA==", "more": 1}]]}', STRING, "not formatted correctly for base64 data"),
        ('{"instances": [{"x": [1]}, [2]]}', FLOAT, "Expecting object but got list at item 1 of input list"),
        ('{"instances": [["u"], {"x": ["v"]}]}', STRING, "Expecting value/list but got object at item 1 of input list"),
        (
            '{"instances": [{"z": 1}]}',
            FLOAT,
            "element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object",
        ),
        ('{"instances": [{"a": 1}]}', TWO, "must only have keys: a,b"),
        ('{"instances": [1]}', TWO, "instances is a plain list, but expecting list of objects"),
        ('{"inputs": [1]}', TWO, "inputs is a plain value/list, but expecting an object"),
        ('{"inputs": {"a": 1}}', TWO, "Missing named input: b in 'inputs' object."),
        ('{"unused": ' + "[" * 5000 + "]" * 5000 + "}", FLOAT, "1000 levels of nesting"),
    ],
)
def test_what_is_refused(text, dtypes, said):
    status, message = refused(text, dtypes)
    assert status == 400 and said in message


def test_what_has_no_json_and_what_is_too_much():
    assert refused('{"inputs": 1}', {"x": "half"}) == (501, "Conversion of JSON Value: 1 to type: half")
    assert refused('{"instances": [[1, 2], [3, 4]]}', INT, most=3)[0] == 413
    assert refused('{"instances": ["a", "b"]}', STRING, most=1)[0] == 413
    assert refused('{"inputs": ' + "[" * 70 + "1" + "]" * 70 + "}", FLOAT)[0] == 413
    with pytest.raises(ServingError, match="Invalid encoding"):
        json_request.parse(b'{"instances": ["\xff"]}')


NUMBERS = st.one_of(st.integers(-300, 300), st.floats(width=32), st.integers(2**31 - 1, 2**63), st.just(True))
LISTS = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=1), max_leaves=8)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    st.lists(LISTS, min_size=1, max_size=3), st.sampled_from(["float", "double", "int32", "uint8", "int64"])
)
def test_lists_of_numbers_are_read_alike_at_once_and_one_by_one(instances, dtype):
    def outcome():
        try:
            array = json_request.inputs_of({"instances": instances}, {"x": dtype}, MOST).arrays["x"]
        except ServingError as error:
            return error.message
        return array.dtype, array.shape, array.tobytes()

    at_once = outcome()
    with pytest.MonkeyPatch.context() as patch:
        for module in (json_request, json_values):
            patch.setattr(module, "numbers_of", lambda *arguments: None)
        assert outcome() == at_once


def test_values_in_messages_end_early():
    """Shown whole, this document would be gigabytes of spaces."""
    nested = "[" * 900 + ",".join(["1"] * 100_000) + "]" * 900
    assert len(refused(f'{{"inputs": 1, "instances": {nested}}}', FLOAT)[1]) < 1000


@pytest.mark.parametrize(
    "text, said",
    [
        ("{}", "key 'examples' is expected and was not found"),
        ('{"examples": 1}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"context": [], "examples": [{}]}', "Example must be JSON object but got JSON Array"),
        ('{"examples": [{"x": [null]}]}', "Feature: x has element with unexpected JSON type: Null"),
        ('{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
        ('{"examples": [{"x": [1, 2.5]}]}', "Unexpected element type in feature: x"),
    ],
)
def test_examples_that_are_refused(text, said):
    with pytest.raises(ServingError) as raised:
        json_request.check_examples(json_request.parse(text.encode()))
    assert raised.value.status == 400 and said in raised.value.message


def test_examples_of_all_kinds_pass():
    text = '{"context": {"c": 1}, "examples": [{"i": [1, true], "f": 2.5, "s": ["a", {"b64": "AA=="}]}, {}]}'
    json_request.check_examples(json_request.parse(text.encode()))


# Answers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, text",
    [
        (9000000, "9e+06"), (999999, "999999.0"), (0.5, "0.5"), (0.0003, "0.0003"), (0.00003, "3e-05"),
        (555557.5, "555557.5"), (0.1, "0.1"), (1 / 3, "0.333333343"), (16777216, "16777216.0"), (-0.0, "-0.0"),
        (np.nan, "NaN"), (np.inf, "Infinity"), (-np.inf, "-Infinity"), (3.4028235e38, "3.40282347e+38"),
        (1e-45, "1.4013e-45"),
    ],
)  # fmt: skip
def test_decimals(value, text):
    assert json_answer.decimals(np.array([value], "float32")) == [text]


def test_decimals_read_back_as_the_same_numbers():
    bits = np.random.default_rng(0).integers(0, 2**32, 20000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    assert np.array_equal(np.array(json_answer.decimals(values), "float32"), values)
    doubles = np.random.default_rng(1).normal(size=1000)
    assert np.array_equal(np.array(json_answer.decimals(doubles), "float64"), doubles)
    assert json_answer.decimals(np.array([0.1, 1 / 3])) == ["0.1", "0.33333333333333331"]


def test_rows_and_columns():
    x = np.arange(4, dtype="float32").reshape(2, 2)
    s, n = np.array([b'a"\x1f', b"\xc3\xa9"], object), np.array([[1], [-2]], "int64")
    one = {"y": x}
    assert json.loads(json_answer.rows(one)) == {"predictions": [[0.0, 1.0], [2.0, 3.0]]}
    assert json.loads(json_answer.columns(one)) == {"outputs": [[0.0, 1.0], [2.0, 3.0]]}
    several = {"s": s, "t_bytes": s, "n": n, "flag": np.array([True, False])}
    encoded = [{"b64": base64.b64encode(each).decode()} for each in s]
    expected = [
        {"s": 'a"\x1f', "t_bytes": encoded[0], "n": [1], "flag": True},
        {"s": "é", "t_bytes": encoded[1], "n": [-2], "flag": False},
    ]
    assert json.loads(json_answer.rows(several)) == {"predictions": expected}
    columns = {name: [row[name] for row in expected] for name in several}
    assert json.loads(json_answer.columns(several)) == {"outputs": columns}
    assert json.loads(json_answer.columns({"sum": np.float32(3)[None][0].reshape(())})) == {"outputs": 3.0}
    assert b'"\xff"' in json_answer.rows({"s": np.array([b"\xff"], object)})  # no UTF-8 goes out as it is


@pytest.mark.parametrize(
    "shape, text", [((2, 0), [[], []]), ((2, 0, 3), [[], []]), ((1, 2, 0), [[[], []]]), ((0,), [])]
)
def test_tensors_without_values(shape, text):
    assert json.loads(json_answer.columns({"y": np.zeros(shape, "float32")})) == {"outputs": text}


@pytest.mark.parametrize(
    "outputs, said",
    [
        ({"y": np.array(1.0)}, "Tensor name: y has no shape information"),
        ({"y": np.zeros((0, 2))}, "Tensor name: y has invalid batch size: 0"),
        ({"a": np.zeros(2), "b": np.zeros(1)}, "Tensor name: b has inconsistent batch size: 1 expecting: 2"),
        ({"y": np.zeros(1, "float16")}, "Failed to write JSON value for tensor type: half"),
        ({"y": np.zeros(1, "complex64")}, "Failed to write JSON value for tensor type: complex64"),
    ],
)
def test_answers_that_are_no_rows(outputs, said):
    with pytest.raises(ServingError) as raised:
        json_answer.rows(outputs)
    assert raised.value.status == 400 and said in raised.value.message


# Pictures -----------------------------------------------------------------------------------------------------------


def test_the_size_of_a_picture_is_read_from_its_head():
    import io

    from PIL import Image

    for kind in ("PNG", "JPEG", "GIF", "BMP"):
        file = io.BytesIO()
        Image.new("RGB", (7, 5)).save(file, kind)
        assert size_of(file.getvalue()) == (5, 7), kind
        assert size_of(file.getvalue()[:4]) == (0, 0), kind
    assert size_of(b"no picture") == (0, 0)


def test_a_bomb_of_pixels_is_refused():
    import struct

    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 50_000, 50_000)
    hidden = b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 11, 8, 1, 1) + b"\0" * 4
    hidden += b"\xff\xc2" + struct.pack(">HBHH", 11, 8, 60_000, 60_000) + b"\0" * 10  # the second frame is large
    for file in (png, hidden):
        with pytest.raises(ServingError) as raised:
            check_pixels([file], 10**6)
        assert raised.value.status == 413
    check_pixels([png], 50_000**2)
