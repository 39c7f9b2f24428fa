"""A stand-in for the Amazon Redshift Data API: its operations as AWS documents them, in front of redshift.py.

    redshift_data.py PORT REDSHIFT_PORT POSTGRES_PORT REGION ACCESS_KEY SECRET_KEY

It is not Redshift. It knows ExecuteStatement, DescribeStatement and CancelStatement by the protocol JSON 1.1, checks
signatures by botocore's own signer, and what members say together. There is one cluster, `warehouse`, one workgroup,
`group`, one database, `dev`, and one user, `loader`, whose secret is arn:aws:secretsmanager:us-east-1:0:secret:loader.
What the documentation leaves open is decided here: a ClientToken is known for ever, and refused with another statement.

Statements are kept in PostgreSQL. One is run in a transaction of its own, through redshift.py, in which it is
also noted that it has finished; so a restart runs again what had not, and nothing else.
"""

import hashlib
import http.server
import json
import re
import sys
import threading
import time
import uuid

import psycopg
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SQL_BYTES_MAX = 100 * 1024
CLOCK_SECONDS_MAX = 300
SECRET = "arn:aws:secretsmanager:us-east-1:0:secret:loader"
MEMBERS = {"ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn", "Sql", "StatementName",
           "ClientToken", "WithEvent"}
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, "
                           r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")
TABLE = """CREATE TABLE IF NOT EXISTS data_api (id text PRIMARY KEY, token text UNIQUE, request text NOT NULL,
           status text NOT NULL, error text, created double precision NOT NULL)"""


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def invalid(message):
    return Refused("ValidationException", message)


class Service:
    def __init__(self, redshift_port, postgres_port, region, access_key, secret_key):
        self.redshift_port, self.postgres_port, self.region = redshift_port, postgres_port, region
        self.credentials, self.running = Credentials(access_key, secret_key), {}
        self.ask(TABLE)
        for (id,) in self.ask("SELECT id FROM data_api WHERE status IN ('SUBMITTED', 'STARTED')"):
            self.begin(id)

    @staticmethod
    def connect(port):
        # redshift.py knows simple queries only.
        return psycopg.connect(f"host=127.0.0.1 port={port} dbname=dev user=loader password=loaded sslmode=disable",
                               autocommit=True, prepare_threshold=None)

    def ask(self, query, *values):
        with self.connect(self.postgres_port) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def check_signature(self, path, headers, body):
        parsed = AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
        if not parsed:
            raise Refused("IncompleteSignatureException", "Authorization header requires a signature.")
        access_key, region, service, names, signature = parsed.groups()
        if access_key != self.credentials.access_key:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        signed = {name: headers.get(name, "") for name in names.split(";")}
        must = {"host", "x-amz-date", "x-amz-target"}
        if not must <= signed.keys() or (region, service) != (self.region, "redshift-data"):
            raise Refused("InvalidSignatureException", "Credential should be scoped to the service, and cover headers.")
        request = AWSRequest("POST", f"http://{headers['Host']}{path}", signed, body)
        request.context["timestamp"] = signed["x-amz-date"]
        if signed.get("x-amz-content-sha256", hashlib.sha256(body).hexdigest()) != hashlib.sha256(body).hexdigest():
            raise Refused("InvalidSignatureException", "The payload is another than was signed.")
        signer = SigV4Auth(self.credentials, service, region)
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        sent = time.mktime(time.strptime(signed["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.timezone
        if wanted != signature or CLOCK_SECONDS_MAX < abs(time.time() - sent):
            raise Refused("InvalidSignatureException", "The request signature we calculated does not match.")

    def execute(self, request):
        check_request(request)
        token, text = request.get("ClientToken", str(uuid.uuid4())), json.dumps(request, sort_keys=True)
        new = str(uuid.uuid4()), token, text, time.time()
        made = self.ask("INSERT INTO data_api VALUES (%s, %s, %s, 'SUBMITTED', NULL, %s) ON CONFLICT DO NOTHING "
                        "RETURNING id", *new)
        (id, known, created), = self.ask("SELECT id, request, created FROM data_api WHERE token = %s", token)
        if known != text:
            raise invalid("The client token was given with another request.")
        if made:
            self.begin(id)
        return {"Id": id, "CreatedAt": created, "Database": request["Database"], "DbUser": "loader"}

    def begin(self, id):
        threading.Thread(target=self.run, args=[id], daemon=True).start()

    def run(self, id):
        (request,), = self.ask("SELECT request FROM data_api WHERE id = %s", id)
        self.ask("UPDATE data_api SET status = 'STARTED' WHERE id = %s AND status = 'SUBMITTED'", id)
        try:
            with self.connect(self.redshift_port) as connection:
                self.running[id] = connection
                connection.execute("BEGIN")
                # Whoever ran it before a restart has committed by then, or never will.
                ours = connection.execute(f"SELECT 1 FROM data_api WHERE id = '{id}' AND status = 'STARTED' FOR UPDATE")
                if ours.fetchall():
                    connection.execute(json.loads(request)["Sql"])
                    connection.execute(f"UPDATE data_api SET status = 'FINISHED' WHERE id = '{id}'")
                connection.execute("COMMIT")
        except psycopg.errors.QueryCanceled as error:
            self.ends(id, "ABORTED", error)
        except psycopg.Error as error:
            self.ends(id, "FAILED", error)
        finally:
            self.running.pop(id, None)

    def ends(self, id, status, error):
        # A COMMIT that was not answered may have been carried out.
        self.ask("UPDATE data_api SET status = %s, error = %s WHERE id = %s AND status = 'STARTED'", status,
                 f"ERROR: {error}", id)

    def describe(self, request):
        found = self.ask("SELECT status, error, request, created FROM data_api WHERE id = %s", request.get("Id"))
        if not found:
            raise Refused("ResourceNotFoundException", "Query does not exist.")
        status, error, known, created = found[0]
        told = {"Id": request["Id"], "Status": status, "QueryString": json.loads(known)["Sql"], "CreatedAt": created,
                "HasResultSet": False}
        return told | ({"Error": error} if error else {})

    def cancel(self, request):
        connection = self.running.get(request.get("Id"))
        if connection is None:
            raise invalid("Could not cancel a query that is already in FINISHED, FAILED or ABORTED state.")
        connection.cancel_safe()
        return {"Status": True}


def check_request(request):
    given = request.keys()
    if not given <= MEMBERS or "Sql" not in given or request.get("Database") != "dev":
        raise invalid(f"Sql and the database dev are required, and nothing else than {sorted(MEMBERS)}.")
    if not 1 <= len(request.get("ClientToken", "any")) <= 64 or SQL_BYTES_MAX < len(request["Sql"].encode()):
        raise invalid("The token or the statement is too long.")
    if ("ClusterIdentifier" in given) == ("WorkgroupName" in given):
        raise invalid("Either ClusterIdentifier or WorkgroupName is required.")
    if request.get("ClusterIdentifier", "warehouse") != "warehouse" or request.get("WorkgroupName", "group") != "group":
        raise invalid("Redshift endpoint doesn't exist in this region.")
    if "DbUser" in given and ("SecretArn" in given or "WorkgroupName" in given):
        raise invalid("DbUser goes with ClusterIdentifier alone.")
    if request.get("DbUser", "loader") != "loader" or request.get("SecretArn", SECRET) != SECRET:
        raise invalid("There is no such user.")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operations = {"ExecuteStatement": self.service.execute, "DescribeStatement": self.service.describe,
                      "CancelStatement": self.service.cancel}
        try:
            self.service.check_signature(self.path, self.headers, body)
            prefix, _, name = self.headers["X-Amz-Target"].partition(".")
            if prefix != "RedshiftData" or name not in operations:
                raise Refused("UnknownOperationException", name)
            if self.headers["Content-Type"] != "application/x-amz-json-1.1":
                raise Refused("SerializationException", "The body is JSON 1.1.")
            self.answer(200, operations[name](json.loads(body)))
        except Refused as refused:
            self.answer(400, {"__type": refused.code, "Message": refused.message})
        except psycopg.Error as error:
            self.answer(500, {"__type": "InternalServerException", "Message": str(error)})

    def answer(self, status, reply):
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        pass


def main(port, redshift_port, postgres_port, *who):
    Handler.service = Service(int(redshift_port), int(postgres_port), *who)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


main(*sys.argv[1:])
