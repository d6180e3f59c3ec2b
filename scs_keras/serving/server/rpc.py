"""The gRPC interface: the official services of TF Serving on grpc.aio.

Reference: tensorflow_serving/model_servers/prediction_service_impl.cc and model_service_impl.cc.
"""

from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from scs_keras.serving.server import answers
from scs_keras.serving.server.core import Core
from scs_keras.serving.server.errors import ServingError, invalid
from scs_keras.serving.server.loaded import DEFAULT
from scs_keras.serving.server.rest import check_method
from scs_keras.serving.server.tensors import arrays_of, count_of, encoded
from scs_keras.serving.wire import field

LONG = 500_000  # bytes; protobuf costs a tenth of JSON
MESSAGE = 1024  # bytes of an error's text


class Guard(grpc.aio.ServerInterceptor):
    """Around each call: token, load, reading the message, and errors as codes.

    A message that cannot be read is the client's mistake; without this it would be INTERNAL.
    """

    def __init__(self, core: Core):
        self._core = core

    async def intercept_service(self, continuation, handler_call_details):
        """The handler of a call, guarded, but not of the health service: it streams, and is asked without token."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith("/grpc.health."):
            return handler
        authorization: Any = dict(handler_call_details.invocation_metadata or ()).get("authorization")

        async def call(message, context):
            try:
                self._core.check_token(authorization)
                async with self._core.request() as work:
                    work.hold(len(message))
                    try:
                        request = await self._core.in_thread(
                            len(message), handler.request_deserializer, message, long=LONG
                        )
                    except DecodeError:
                        raise invalid("The message cannot be parsed.") from None
                    return await handler.unary_unary(request, context)
            except ServingError as error:
                error.without_frames()
                context.set_code(grpc.StatusCode[error.code])  # abort() would raise an error that holds the message
                context.set_details(_cut(error.message))

        return grpc.unary_unary_rpc_method_handler(call, None, _serialized)


def _cut(text):
    content = text.encode()
    return text if len(content) <= MESSAGE else f"{content[:MESSAGE].decode(errors='ignore')}...TRUNCATED"


def _asked(request):
    """Name, version and label of a request.

    Raises:
        ServingError: INVALID_ARGUMENT without any of a model.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise invalid("ModelSpec has no name specified.")
    kind = spec.WhichOneof("version_choice")
    version = spec.version.value if kind == "version" else None
    return spec.name, version, spec.version_label if kind == "version_label" else None


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """PredictionService."""

    def __init__(self, core: Core):
        self._core = core

    async def Predict(self, request, context):
        core = self._core
        name, version, label = _asked(request)
        with core.measured(name, "Predict", "GRPC"), core.store.find(name, version, label).held() as loaded:
            signature = request.model_spec.signature_name or DEFAULT
            loaded.check_names(signature, request.inputs)
            size = max(request.ByteSize(), count_of(request.inputs))
            async with core.reading(size, LONG):
                arrays = await core.in_thread(size, arrays_of, request.inputs, core.options.max_values, long=LONG)
            outputs = await core.run(loaded, signature, arrays, request.output_filter, context.time_remaining())
            size = sum(array.nbytes for array in outputs.values())
            return await core.in_thread(size, _response, loaded, signature, outputs, long=LONG)

    async def GetModelMetadata(self, request, context):
        asked = _asked(request)
        answers.check_fields(request.metadata_field)
        spec, signatures = answers.metadata(self._core, *asked)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
        response.metadata[answers.FIELD].Pack(signatures)
        return response

    async def Classify(self, request, context):
        return self._refuse(request, "classify")

    async def Regress(self, request, context):
        return self._refuse(request, "regress")

    async def MultiInference(self, request, context):
        raise ServingError("UNIMPLEMENTED", "This server answers Predict. For MultiInference use TF Serving itself.")

    def _refuse(self, request, method):
        asked = _asked(request)
        with self._core.measured(asked[0], method.capitalize(), "GRPC"):
            check_method(self._core.store.find(*asked), request.model_spec.signature_name, method)


def _response(loaded, signature, outputs):
    """A serialized PredictResponse: the specification, and an entry of `outputs` (1) for each: name (1), tensor (2)."""
    response = predict_pb2.PredictResponse()
    response.model_spec.name = loaded.name
    response.model_spec.version.value = loaded.version
    response.model_spec.signature_name = signature
    entries = (field(1, field(1, name.encode()) + field(2, encoded(array))) for name, array in outputs.items())
    return response.SerializeToString() + b"".join(entries)


def _serialized(response):
    return response if isinstance(response, bytes) else response.SerializeToString()


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """ModelService."""

    def __init__(self, core: Core):
        self._core = core

    async def GetModelStatus(self, request, context):
        name, version, _ = _asked(request)
        return answers.status(self._core, name, version)

    async def HandleReloadConfigRequest(self, request, context):
        """Versions and labels of folders that are served already; TF Serving would take any path."""
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        await self._core.store.reload(request.config)
        return model_management_pb2.ReloadConfigResponse()


def make_server(core: Core) -> tuple[Any, Any]:
    """A grpc.aio server without port, and its health service."""
    from grpc_health.v1 import health_pb2_grpc

    most = core.options.max_body_mb * 2**20
    server = grpc.aio.server(
        interceptors=[Guard(core)],
        maximum_concurrent_rpcs=core.options.max_concurrency,
        options=[
            ("grpc.max_receive_message_length", most),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a port in use is an error
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(core), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(core), server)
    checks = _health(core)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    return server, checks


def _health(core):
    """The health service; its list also has the models, so that clients can find what is served."""
    from grpc_health.v1 import health, health_pb2

    messages = cast(Any, health_pb2)  # what the checker knows of them is older
    ready = messages.HealthCheckResponse(status=messages.HealthCheckResponse.SERVING)

    class Health(cast(Any, health).aio.HealthServicer):
        async def List(self, request, context):
            return messages.HealthListResponse(statuses=dict.fromkeys(["", *core.store.models()], ready))

    return Health()
