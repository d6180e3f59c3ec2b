"""A local server that answers as TF Serving does: REST and gRPC, for trying what was exported."""

import importlib.util

PACKAGES = ("grpc", "grpc_health", "starlette", "uvicorn", "httptools", "prometheus_client", "rapidjson")
PRODUCTION = (
    "This is a server for trying things. In production run TF Serving itself from the files that the export wrote "
    "(DIR/tf_serving); it answers the same requests."
)


def check_packages() -> None:
    """Raises ImportError unless what the server needs is installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'The server needs {missing[0]}. Type: pip install "scs-keras[serving]"')
    if importlib.util.find_spec("tensorflow_serving") is None:
        raise ImportError(
            "The server needs TF Serving's messages; alone, since what they ask for would lay a second TensorFlow over "
            "the one that is installed. Type: pip install --no-deps tensorflow-serving-api"
        )
