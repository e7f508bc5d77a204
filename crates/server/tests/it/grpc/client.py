"""Calls every shape through the address given, and prints what came of it, a line each."""

import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1])
patience = 10


def call(shape, method):
    return getattr(channel, shape)("/test.Echo/" + method)


answers = {}
for _ in range(20):
    answer, ended = call("unary_unary", "Unary").with_call(b"hi", timeout=patience)
    answers[answer] = answers.get(answer, 0) + 1
print("unary", sorted(answers.items()))
print("trailers", [key for key, _ in ended.trailing_metadata()])
print("server stream", list(call("unary_stream", "ServerStream")(b"s", timeout=patience)))
print("client stream", call("stream_unary", "ClientStream")(iter([b"a", b"b", b"c"]), timeout=patience))
print("both stream", list(call("stream_stream", "BothStream")(iter([b"a", b"b", b"c"]), timeout=patience)))
print("large", len(call("unary_unary", "Unary")(b"x" * 3000000, timeout=patience)))
for method, wait in [("Fail", patience), ("Missing", patience), ("Never", 0.5)]:
    try:
        call("unary_unary", method)(b"", timeout=wait)
        print(method, "no error")
    except grpc.RpcError as error:
        print(method, error.code().name)
