"""Which versions are served: they appear, are warmed up, take over, carry labels, fail and go."""

import asyncio
import shutil
import threading

import numpy as np
import pytest
from serving_case import served, status_of, write_model

from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.server.loaded import Loaded
from scs_keras.serving.server.models_config import Source
from scs_keras.serving.server.store import Store

CONFIG = """model_config_list {{ config {{
  name: "m" base_path: "{base}" model_platform: "tensorflow"
  {policy}
  {labels}
}} }}"""
ALL = "model_version_policy { all {} }"
TWO = "model_version_policy { specific { versions: 1 versions: 2 } }"


class Fake:
    """In the place of a loaded version: what its folder's file says is wrong with it happens."""

    alive: set = set()

    def __init__(self, name, version, path):
        self.name, self.version, self.uses = name, version, 0
        self.says = (path / "says").read_text()
        if self.says == "broken":
            raise ServingError("NOT_FOUND", "no saved_model.pb")
        Fake.alive.add(version)

    def warm_up(self, path, max_values):
        if self.says == "cold":
            raise ServingError("INVALID_ARGUMENT", "cannot answer")

    held = Loaded.held

    def close(self):
        Fake.alive.discard(self.version)


@pytest.fixture(autouse=True)
def none_alive():
    Fake.alive = set()


def put(folder, version, says="fine"):
    (folder / str(version)).mkdir(parents=True, exist_ok=True)
    (folder / str(version) / "says").write_text(says)


def configure(tmp_path, policy="", labels="", base=None):
    file = tmp_path / "models.config"
    lines = "\n".join(f'version_labels {{ key: "{key}" value: {value} }}' for key, value in dict(labels).items())
    file.write_text(CONFIG.format(base=base or tmp_path / "m", policy=policy, labels=lines))
    return file


def states(store, name="m"):
    return {number: each.state for number, each in store.states(name).items()}


def found(store, **asked):
    return store.find("m", **asked).version


def run(scenario):
    """Runs an async function of a function that makes started stores."""

    async def main():
        stores = []

        async def started(**source):
            stores.append(Store(Source(**source), 1000, Fake))
            await stores[-1].start()
            return stores[-1]

        try:
            await scenario(started)
        finally:
            for store in stores:
                await store.close()

    asyncio.run(main())


async def settled(store):
    await store.look()
    while store._closing:
        await asyncio.sleep(0.01)


def test_the_highest_is_served_and_a_new_one_takes_over(tmp_path):
    folder = tmp_path / "m"
    put(folder, 2)
    put(folder, "00010")
    for other in ("notes", "1a", "٣"):
        put(folder, other)

    async def scenario(started):
        store = await started(folder=folder)
        assert found(store) == 10 and Fake.alive == {10} and states(store) == {10: "AVAILABLE"}
        put(folder, 11)
        await settled(store)
        assert found(store) == 11 and states(store) == {10: "END", 11: "AVAILABLE"} and Fake.alive == {11}
        shutil.rmtree(folder / "11")
        await settled(store)
        assert found(store) == 10 and Fake.alive == {10}
        shutil.rmtree(folder / "00010")
        shutil.rmtree(folder / "2")
        await settled(store)
        assert not Fake.alive
        with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(m\)"):
            store.find("m")

    run(scenario)


@pytest.mark.parametrize("says, reason", [("broken", "no saved_model.pb"), ("cold", "Warm-up failed: cannot answer")])
def test_a_version_that_does_not_load_stays_out_and_the_old_one_serves_on(tmp_path, says, reason):
    folder = tmp_path / "m"
    put(folder, 1)

    async def scenario(started):
        store = await started(folder=folder)
        put(folder, 2, says)
        for _ in range(2):
            await settled(store)
            failed = store.states("m", 2)[2]
            assert found(store) == 1 and failed.state == "END" and failed.error.message == reason
            assert Fake.alive == {1}
        put(folder, 2, "fine now")  # its files have changed: another try
        await settled(store)
        assert found(store) == 2 and states(store) == {1: "END", 2: "AVAILABLE"}

    run(scenario)


def test_a_version_in_use_is_closed_when_it_is_not(tmp_path):
    folder = tmp_path / "m"
    put(folder, 1)

    async def scenario(started):
        store = await started(folder=folder)
        with store.find("m").held():
            put(folder, 2)
            await store.look()
            await asyncio.sleep(0.05)
            assert Fake.alive == {1, 2} and states(store) == {1: "UNLOADING", 2: "AVAILABLE"}
        await settled(store)
        assert Fake.alive == {2}

    run(scenario)


def test_policies_and_labels(tmp_path):
    folder = tmp_path / "m"
    for version in (1, 2, 3):
        put(folder, version)

    async def scenario(started):
        store = await started(models_config=configure(tmp_path, TWO, {"stable": 1, "canary": 2}))
        assert Fake.alive == {1, 2}
        assert [found(store), found(store, label="stable"), found(store, label="canary")] == [2, 1, 2]
        configure(tmp_path, TWO, {"stable": 2})
        await settled(store)
        assert found(store, label="stable") == 2
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            store.find("m", label="canary")
        configure(tmp_path, ALL, {"stable": 9})  # not there: the label stays where it is
        await settled(store)
        assert Fake.alive == {1, 2, 3} and found(store, label="stable") == 2
        configure(tmp_path, "model_version_policy { latest { num_versions: 2 } }", {"stable": 2})
        await settled(store)
        assert Fake.alive == {2, 3}
        (tmp_path / "models.config").write_text("model_config_list {")
        with pytest.raises(ValueError, match="is not a models.config"):
            await store.look()
        assert found(store) == 3

    run(scenario)


def test_a_model_may_go_and_come(tmp_path):
    for name in ("a", "b"):
        put(tmp_path / "models" / name, 1)

    async def scenario(started):
        store = await started(folder=tmp_path / "models")
        assert store.models() == {"a": {}, "b": {}}
        shutil.rmtree(tmp_path / "models" / "b")
        put(tmp_path / "models" / "c", 1)
        await settled(store)
        assert store.models() == {"a": {}, "c": {}} and states(store, "b") == {1: "END"}

    run(scenario)


def test_what_an_export_wrote_beside_its_versions_counts(tmp_path):
    folder = tmp_path / "served"
    put(folder, 1)
    put(folder, 2)
    (folder / "tf_serving").mkdir()
    text = CONFIG.format(base="/models/preset", policy=TWO, labels='version_labels { key: "stable" value: 1 }')
    (folder / "tf_serving" / "models.config").write_text(text.replace('"m"', '"preset"'))

    async def scenario(started):
        for source in (dict(folder=folder), dict(models_config=folder / "tf_serving" / "models.config")):
            store = await started(**source)
            assert store.find("preset", label="stable").version == 1 and store.find("preset").version == 2
        named = await started(folder=folder, name="own")
        assert named.models() == {"own": {"stable": 1}}

    run(scenario)


def refused(said, **source):
    async def scenario(started):
        with pytest.raises(ValueError, match=said):
            await started(**source)

    run(scenario)


def test_what_cannot_be_served(tmp_path):
    folder = tmp_path / "m"
    refused("there is no such folder. Type: scs-keras export", folder=folder)
    folder.mkdir()
    refused("m has no version: a folder such as m/1 with a saved_model.pb. It has: nothing.", folder=folder)
    (folder / "weights.h5").touch()
    refused("It has: weights.h5", folder=folder)
    refused("Give one of the two", folder=folder, models_config=folder)
    refused("Give one of the two")
    put(folder, 1, "broken")
    refused("No version of m in .* can be served. version 1: no saved_model.pb", folder=folder)
    put(folder, 1)
    refused("cannot be empty or have / or :. Received: 'a/b'. Give another one, name=NAME", folder=folder, name="a/b")
    put(tmp_path / "two" / "a", 1)
    put(tmp_path / "two" / "b", 1)
    refused("leave it out", folder=tmp_path / "two", name="x")


def test_configurations_that_cannot_be_served(tmp_path):
    put(tmp_path / "m", 1)
    refused("there is no such file", models_config=tmp_path / "nothing")
    label = 'Label "stable" of model m is on version 2, which is not served. Served: 1. Change version_labels'
    refused(label, models_config=configure(tmp_path, labels={"stable": 2}))
    put(tmp_path / "m", 2, "broken")
    label = "on version 2, which cannot be served: no saved_model.pb. Served: 1."
    refused(label, models_config=configure(tmp_path, TWO, {"stable": 2}))
    refused("m has no version of 7 of m", models_config=configure(tmp_path, TWO.replace("1 versions: 2", "7")))
    refused("elsewhere has no version of m", models_config=configure(tmp_path, base=tmp_path / "elsewhere"))
    file = configure(tmp_path)
    twice = file.read_text().replace("{ config {", '{ config { name: "m" } config {')
    for text, said in (
        ("model_config_list {", "is not a models.config of TF Serving"),
        ("", "It lists no model"),
        (twice, "Illegal to list model m multiple times"),
        (file.read_text().replace("tensorflow", "other"), "requests unsupported platform other"),
        (file.read_text().replace('"m"', '"a/b"'), "Received: 'a/b'"),
    ):
        file.write_text(text)
        refused(said, models_config=file)


# With TensorFlow ----------------------------------------------------------------------------------------------------


def test_no_request_fails_while_versions_change(tmp_path):
    """Warm-up requests are answered first, one that cannot be is the reason why its version stays out."""
    folder = tmp_path / "m"
    write_model(folder / "1", 1.0, [("rows", {"x": np.ones((2, 3), "float32")})])
    with served(folder, poll=0.05) as clients:
        answers, end = [], threading.Event()

        def ask():
            while not end.is_set():
                answers.append(float(clients.predict("m", {"x": 0.0})["y"]))

        thread = threading.Thread(target=ask)
        thread.start()
        write_model(tmp_path / "new", 2.0).rename(folder / "2")
        wait_for(lambda: answers and answers[-1] == 2)
        write_model(tmp_path / "cold", 3.0, [("rows", {"x": np.ones(2, "float32")})]).rename(folder / "3")
        wait_for(lambda: status_of(clients, "m").get(3, ("",))[0] == "END")
        end.set()
        thread.join()
        assert set(answers) == {1.0, 2.0} and answers == sorted(answers)
        known = status_of(clients, "m")
        assert known[2][0] == "AVAILABLE" and "Warm-up failed" in known[3][2]
        (folder / "4").mkdir()
        wait_for(lambda: 4 in status_of(clients, "m"))
        wait_for(lambda: status_of(clients, "m")[4][0] == "END")
        assert "saved_model.pb" in status_of(clients, "m")[4][2] or "SavedModel" in status_of(clients, "m")[4][2]


def test_a_damaged_file_of_warm_up_keeps_a_version_out(tmp_path):
    folder = tmp_path / "m"
    write_model(folder / "1", warmup=[("rows", {"x": np.ones((2, 3), "float32")})])
    file = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match="Warm-up failed: .*Please verify your warmup data is in TFRecord format"):
        with served(folder):
            pass


def wait_for(condition, seconds=60):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
