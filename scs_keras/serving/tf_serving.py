"""The folder `tf_serving` beside the versions: what TF Serving, Docker Compose and Kubernetes are told."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from scs_keras.serving.warmup import BATCH_SIZES
from scs_keras.zoo.files import written_beside

MODELS = "models.config"
_STABLE, _CANARY = (f'version_labels {{ key: "{label}" value: ' for label in ("stable", "canary"))
_FLAGS = (  # the labels may name a version that is still loading; the configuration is read again
    "--port=8500",
    "--rest_api_port=8501",
    "--model_config_file=/models/{name}/tf_serving/models.config",
    "--model_config_file_poll_wait_seconds=30",
    "--allow_version_labels_for_unavailable_models=true",
    "--enable_batching=true",
    "--batching_parameters_file=/models/{name}/tf_serving/batching.config",
    "--monitoring_config_file=/models/{name}/tf_serving/monitoring.config",
)


def versions_in(folder: Path) -> list[int]:
    """The complete versions of an export folder: those whose name is a number."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit() and path.is_dir())


def write_tf_serving(output: Path, name: str) -> None:
    """Writes `output`/tf_serving, or adds the newest versions to the models.config that is there.

    The first version is both stable and canary. A later one becomes canary; stable stays where it was, so that one
    line moves traffic forwards or back. All else that was changed in the files stays.

    Args:
        output: folder with the versions, which the server sees as /models/`name`.
        name: of the model.
    """
    folder = output / "tf_serving"
    folder.mkdir(exist_ok=True)
    with _alone(folder):
        models = folder / MODELS
        text = models.read_text() if models.exists() else None
        files = {
            MODELS: _models(name, versions_in(output)) if text is None else with_versions(text, versions_in(output))
        }
        others = dict(batching=_batching, monitoring=_monitoring)
        files |= {f"{each}.config": make() for each, make in others.items()}
        files |= {"compose.yaml": _compose(name), "kubernetes.yaml": _kubernetes(name)}
        for file, content in files.items():
            if file == MODELS or not (folder / file).exists():
                with written_beside(folder / file) as beside:
                    beside.write_text(content)


def with_versions(text: str, versions: list[int]) -> str:
    """A models.config with the versions that are newer than all it has; the newest becomes canary."""
    known = [int(each) for each in re.findall(r"\bversions:\s*(\d+)", text)]
    new = [each for each in versions if each > max(known, default=0)]
    if not new:
        return text
    lines = "".join(f"        versions: {each}\n" for each in new)
    text = re.sub(r"(specific\s*\{\s*\n)((?:\s*versions:\s*\d+\n)*)", rf"\g<1>\g<2>{lines}", text, count=1)
    return re.sub(rf"({re.escape(_CANARY)})\d+", rf"\g<1>{new[-1]}", text, count=1)


def _models(name, versions):
    listed = "\n".join(f"        versions: {each}" for each in versions)
    return f"""\
# {name} at /models/{name}. An export adds its version and moves canary. To make canary stable, or to go back, change
# the number of stable; the server reads this file again every 30 seconds. Take a version out here before you remove it.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{
      specific {{
{listed}
      }}
    }}
    {_STABLE}{versions[0]} }}
    {_CANARY}{versions[-1]} }}
  }}
}}
"""


def _batching():
    smallest, largest = BATCH_SIZES
    sizes = [smallest]
    while sizes[-1] < largest:
        sizes.append(min(2 * sizes[-1], largest))
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in sizes)
    return f"""\
max_batch_size {{ value: {largest} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 2 }}
{allowed}
"""


def _monitoring():
    return 'prometheus_config {\n  enable: true\n  path: "/monitoring/prometheus/metrics"\n}\n'


def _compose(name):
    flags = "\n".join(f"      - {flag.format(name=name)}" for flag in _FLAGS)
    return f"""\
# docker compose up, in this folder
services:
  tf-serving:
    image: tensorflow/serving:${{TF_SERVING_VERSION:-latest}}
    command:
{flags}
    ports: ["8500:8500", "8501:8501"]
    volumes: ["..:/models/{name}:ro"]
"""


def _kubernetes(name):
    label = name.replace("_", "-")
    flags = "\n".join(f"            - {flag.format(name=name)}" for flag in _FLAGS)
    return f"""\
# kubectl apply -f kubernetes.yaml; the claim {label} holds the folder of the versions.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {label}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: {label}}}
  template:
    metadata:
      labels: {{app: {label}}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      containers:
        - name: tf-serving
          image: tensorflow/serving:latest
          args:
{flags}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          readinessProbe:
            httpGet: {{path: /v1/models/{name}/labels/stable/metadata, port: rest}}
            periodSeconds: 10
          volumeMounts:
            - {{name: versions, mountPath: /models/{name}, readOnly: true}}
      volumes:
        - name: versions
          persistentVolumeClaim: {{claimName: {label}}}
---
apiVersion: v1
kind: Service
metadata:
  name: {label}
spec:
  selector: {{app: {label}}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Inside, no other export changes the folder; a killed one's lock ends with it."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
