"""A gRPC service without generated code: bytes in, bytes out, each call shape, and errors on demand.

server.py NAME [CERTIFICATE KEY]: with the latter two, files of PEM, over TLS.
"""

import sys
import time
from concurrent import futures

import grpc

name = sys.argv[1].encode()


def unary(request, context):
    context.set_trailing_metadata((("served-by", sys.argv[1]),))
    return name + b":" + request


def server_stream(request, context):
    for number in range(5):
        yield b"%d:" % number + request


def client_stream(requests, context):
    return b"|".join(requests)


def both_stream(requests, context):
    for request in requests:
        yield b"echo:" + request


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")


def down(request, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "not ever")


def never(request, context):
    while context.is_active():
        time.sleep(0.01)
    return b""


def health(request, context):
    # HealthCheckResponse { status: SERVING }
    return b"\x08\x01"


echo = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "BothStream": grpc.stream_stream_rpc_method_handler(both_stream),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Down": grpc.unary_unary_rpc_method_handler(down),
    "Never": grpc.unary_unary_rpc_method_handler(never),
}
server = grpc.server(futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers(
    (
        grpc.method_handlers_generic_handler("test.Echo", echo),
        grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(health)}
        ),
    )
)
if len(sys.argv) > 2:
    certificate, key = (open(path, "rb").read() for path in sys.argv[2:4])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
server.stop(None)
