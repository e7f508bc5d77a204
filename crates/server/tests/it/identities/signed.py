"""Calls signed by botocore, and calls whose signatures are wrong in one way each."""
import datetime, http.client, sys

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

address, key, secret = sys.argv[1:]


def call(method, path, body=b"", *, secret=secret, key=key, service="headworks", region="local", minutes=0, change=None):
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: now.replace(tzinfo=None) if remove_tzinfo else now
    request = AWSRequest(method, f"http://{address}{path}", data=body, headers={"X-Amz-Meta": "a  b"})
    SigV4Auth(Credentials(key, secret), service, region).add_auth(request)
    headers = dict(request.headers.items())
    if change:
        method, path, body = change(headers, method, path, body)
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def check(expected, *arguments, **named):
    status, body = call(*arguments, **named)
    if status != expected:
        sys.exit(f"{arguments} {named}: {status}, not {expected}: {body!r}")


check(200, "GET", "/v1/target-groups/web")
check(200, "GET", "/v1/target-groups?prefix=a%20b&limit=5&origin=file")
check(200, "GET", "/v1/target-groups?limit=5&after=%2B%2F%3D")
check(404, "GET", "/v1/target-groups/a%20b%2Fc")
check(201, "PUT", "/v1/target-groups/api", b'{"targets": []}')
check(204, "DELETE", "/v1/target-groups/api")
check(200, "GET", "/v1/target-groups/web", minutes=-4)
check(200, "GET", "/v1/target-groups/web", minutes=4)
check(401, "GET", "/v1/target-groups/web", minutes=-6)
check(401, "GET", "/v1/target-groups/web", minutes=6)
check(401, "GET", "/v1/target-groups/web", secret="wrong")
check(401, "GET", "/v1/target-groups/web", key="HWKAAAAAAAAAAAAAAAAA")
check(401, "GET", "/v1/target-groups/web", service="elasticloadbalancing")
check(401, "GET", "/v1/target-groups/web", region="us-east-1")


def another(what):
    def change(headers, method, path, body):
        if what == "body":
            return method, path, b'{"targets": ["127.0.0.1:1"]}'
        if what == "path":
            return method, path + "2", body
        if what == "query":
            return method, path + "?dry_run=true", body
        if what == "method":
            return "DELETE", path, body
        if what == "added":
            headers["X-Amz-Added"] = "1"
        if what == "unsigned":
            headers["Authorization"] = headers["Authorization"].replace("host;", "")
        if what == "date":
            headers["X-Amz-Date"] = headers["X-Amz-Date"][:-2] + "0Z"
        if what == "token":
            headers["X-Amz-Security-Token"] = "token"
        if what == "garbage":
            headers["Authorization"] = "AWS4-HMAC-SHA256 " + "=,/" * 1000
        return method, path, body

    return change


for what in ["body", "path", "query", "method", "added", "unsigned", "token", "garbage"]:
    check(401, "PUT", "/v1/target-groups/api", b'{"targets": []}', change=another(what))
