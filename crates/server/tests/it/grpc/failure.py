"""Calls one method through the address given, and prints what it failed with: code and details."""

import sys

import grpc

address, method, patience = sys.argv[1], sys.argv[2], float(sys.argv[3])
try:
    grpc.insecure_channel(address).unary_unary("/test.Echo/" + method)(b"", timeout=patience)
    print("no error")
except grpc.RpcError as error:
    print(error.code().name, error.details())
