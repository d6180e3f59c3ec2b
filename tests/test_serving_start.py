"""`scs-keras serve`: what it says when it cannot start, and a process from its first line to its end."""

import importlib.util
import re

import httpx
import pytest
from serving_case import write_model
from serving_process import Server

from scs_keras.__main__ import main


def said(capsys, *words):
    """What the command says before it ends; nothing is loaded for that."""
    with pytest.raises(SystemExit) as raised:
        main(["serve", *map(str, words)])
    return str(raised.value.code) + capsys.readouterr().out


@pytest.mark.parametrize(
    "words, sentence",
    [
        ((), "scs-keras serve: Give one of the two: DIR or --models-config FILE."),
        (("{}/nothing",), "nothing: there is no such folder. Type: scs-keras export PRESET --output DIR"),
        (("{}",), "has no version: a folder such as .*/1 with a saved_model.pb. It has: notes. Type: scs-keras export"),
        (
            ("--models-config", "{}/nothing"),
            "nothing: there is no such file. An export writes DIR/tf_serving/models.conf",
        ),
        (("{}", "--max-queue", "0"), "--max-queue must be more than 0. Received: 0."),
        (("{}", "--tls-key", "x"), "TLS needs both: --tls-certificate and --tls-key."),
        (("{}", "--port", "70000"), "--port must be a port from 0 to 65535. Received: 70000."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(capsys, tmp_path, words, sentence):
    (tmp_path / "notes").touch()
    assert re.search(sentence, said(capsys, *(word.format(tmp_path) for word in words)))


def test_a_name_with_a_slash(capsys, tmp_path):
    (tmp_path / "1").mkdir()
    text = said(capsys, tmp_path, "--name", "a/b")
    assert "cannot be empty or have / or :. Received: 'a/b'. Give another one, --name NAME, or change it in mo" in text


@pytest.mark.parametrize(
    "package, line",
    [
        ("starlette", 'needs starlette. Type: pip install "scs-keras[serving]"'),
        ("tensorflow_serving", "Type: pip install --no-deps tensorflow-serving-api"),
    ],
)
def test_a_missing_package(capsys, monkeypatch, tmp_path, package, line):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    assert line in said(capsys, tmp_path)


def test_the_help_says_what_serves_in_production(capsys):
    assert "In production run TF Serving" in said(capsys, "--help")


@pytest.mark.slow
def test_a_process_answers_and_ends_when_it_is_told_to(tmp_path):
    write_model(tmp_path / "m" / "1")
    with Server(tmp_path / "m") as server:
        assert "In production run TF Serving" in server.log[0]
        answer = httpx.post(f"{server.rest}/v1/models/m:predict", json={"instances": [1]})
        assert answer.json() == {"predictions": [2.5]}
        assert server.stop() == 0
    assert "requests in work finish" in server.log[-1] and not any("Traceback" in line for line in server.log)
