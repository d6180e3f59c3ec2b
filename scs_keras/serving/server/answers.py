"""Status and metadata of a model, as messages of TF Serving for both front ends."""

from typing import Any

from scs_keras.serving.server.core import Core
from scs_keras.serving.server.errors import NUMBERS, invalid

FIELD = "signature_def"


def status(core: Core, name: str, version: int | None) -> Any:
    """A GetModelStatusResponse.

    Raises:
        ServingError: NOT_FOUND.
    """
    from tensorflow_serving.apis import get_model_status_pb2

    response = get_model_status_pb2.GetModelStatusResponse()
    for number, each in core.store.states(name, version).items():
        added = response.model_version_status.add(version=number, state=each.state)
        added.status.error_code = NUMBERS[each.error.code] if each.error else 0
        added.status.error_message = each.error.message if each.error else ""
    return response


def metadata(core: Core, name: str, version: int | None, label: str | None) -> tuple[Any, Any]:
    """ModelSpec and SignatureDefMap.

    Raises:
        ServingError: NOT_FOUND.
    """
    from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

    loaded = core.store.find(name, version, label)
    spec = model_pb2.ModelSpec(name=loaded.name)
    spec.version.value = loaded.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for each, definition in loaded.signatures.items():
        signatures.signature_def[each].CopyFrom(definition)
    return spec, signatures


def check_fields(fields: Any) -> None:
    """Raises INVALID_ARGUMENT unless `signature_def` alone is asked for."""
    if not fields:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != FIELD:
            raise invalid(f"Metadata field {field} is not supported")
