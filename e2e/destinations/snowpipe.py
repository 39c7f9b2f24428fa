"""A stand-in for Snowpipe Streaming: its REST interface with named channels, as Snowflake documents it.

It is not Snowflake. What it says of a request is what the documentation says; what the documentation
leaves open is decided here. It checks who signs (key-pair JWT), keeps channels with their continuation and
offset tokens, commits rows some time after it has taken them, discards what is not committed when a channel
is opened again, and leaves out rows whose members are not what a column takes. At /table/DATABASE/SCHEMA/TABLE
it gives the rows that are committed, at /count/... how many: that is its own, Snowflake has SQL for it.

    snowpipe.py PORT PUBLIC_KEY ACCOUNT USER --journal FILE [--numbers COLUMN,...] [--commit-seconds S]
                [--fail-every N] [--busy-every N] [--lose-every N] [--forget-tokens-every N]

Each Nth request with rows is answered with 500, with 429, or taken and not answered; each Nth of any kind
finds that its token has run out. What is committed is in the journal, and is known again after a restart.
"""

import argparse
import base64
import gzip
import hashlib
import http.server
import json
import os
import secrets
import socket
import threading
import time
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

PAYLOAD_BYTES_MAX = 4 * 1024 * 1024
TOKEN_SECONDS_MAX = 3600


class Refused(Exception):
    def __init__(self, status, code, message="", headers=()):
        super().__init__(f"{status} {code} {message}")
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers)


class Channel:
    """Rows in the order they came, and how far they are committed."""

    def __init__(self, name):
        self.name, self.created = name, time.time()
        # Greater than those of before a restart.
        self.client_sequencer, self.row_sequencer = time.time_ns() // 1_000_000, 0
        self.committed, self.waiting = None, []
        self.is_open = False
        self.parsed = self.inserted = self.errors = 0
        self.error_bound = self.error = self.error_time = None

    def continuation(self):
        return f"{self.client_sequencer}_{self.row_sequencer}"

    def open(self, offset_token):
        self.is_open = True
        self.client_sequencer += 1
        self.row_sequencer = 0
        self.waiting.clear()
        if offset_token is not None:
            self.committed = offset_token

    def status(self, pipe):
        database, schema, table = pipe
        return {
            "database_name": database, "schema_name": schema, "pipe_name": f"{table}-STREAMING",
            "channel_name": self.name, "channel_status_code": "ACTIVE" if self.is_open else "ERR_CHANNEL_MUST_BE_REOPENED",
            "last_committed_offset_token": self.committed, "created_on_ms": int(self.created * 1000),
            "rows_inserted": self.inserted, "rows_parsed": self.parsed, "rows_error_count": self.errors,
            "last_error_offset_upper_bound": self.error_bound, "last_error_message": self.error,
            "last_error_timestamp": self.error_time, "snowflake_avg_processing_latency_ms": 0,
        }


class Account:
    """All that is kept. Every request has it for itself."""

    def __init__(self, options):
        self.options, self.lock = options, threading.Lock()
        self.tables, self.channels, self.tokens = {}, {}, set()
        self.requests = self.appends = 0
        with open(options.public_key, "rb") as file:
            self.key = serialization.load_pem_public_key(file.read())
        der = self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.replay()
        self.journal = open(options.journal, "a", encoding="utf-8")
        self.fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()

    def replay(self):
        """What was committed before a restart; of a line that was not finished nothing was told."""
        if not os.path.exists(self.options.journal):
            return
        with open(self.options.journal, "r+", encoding="utf-8") as journal:
            lines = journal.read().splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):
                journal.truncate(sum(len(line.encode()) for line in lines[:-1]))
                lines.pop()
        for line in lines:
            pipe, name, rows, end = json.loads(line)
            self.tables.setdefault(tuple(pipe), []).extend(rows)
            self.channels.setdefault((tuple(pipe), name.upper()), Channel(name)).committed = end

    def check_jwt(self, authorization, kind):
        """Whoever signs must have the user's key, and say so."""
        if kind not in (None, "KEYPAIR_JWT"):
            raise Refused(401, "390146", f"token type {kind}")
        try:
            signed, signature = authorization.removeprefix("Bearer ").rsplit(".", 1)
            header, claims = (json.loads(decode(part)) for part in signed.split("."))
            self.key.verify(decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature, UnicodeDecodeError) as error:
            raise Refused(401, "390144", f"JWT token is invalid: {error!r}") from error
        subject = f"{self.options.account}.{self.options.user}".upper()
        now = time.time()
        is_good = (header.get("alg") == "RS256" and claims.get("sub") == subject
                   and claims.get("iss") == f"{subject}.{self.fingerprint}"
                   and claims["iat"] - 60 <= now < claims["exp"] <= claims["iat"] + TOKEN_SECONDS_MAX)
        if not is_good:
            raise Refused(401, "390144", f"JWT token is invalid: {claims}")

    def check_token(self, authorization):
        self.requests += 1
        if is_time(self.requests, self.options.forget_tokens_every):
            self.tokens.clear()
        if authorization.removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "390318", "OAuth access token expired")

    def new_token(self, form, host):
        grant = form.get("grant_type", [""])[0]
        scope = form.get("scope", [""])[0].split(" ")
        if grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" or scope[0] != host:
            raise Refused(400, "390302", f"grant_type {grant}, scope {scope}")
        token = secrets.token_urlsafe(32)
        self.tokens.add(token)
        return token

    def channel(self, pipe, name):
        channel = self.channels.get((pipe, name.upper()))
        if channel is None:
            raise Refused(404, "ERR_CHANNEL_DOES_NOT_EXIST_OR_IS_NOT_AUTHORIZED", name)
        return channel

    def commit(self):
        """What has waited long enough."""
        now = time.time()
        for (pipe, _), channel in self.channels.items():
            while channel.waiting and channel.waiting[0][0] <= now:
                _, rows, end = channel.waiting.pop(0)
                good = [row for row in rows if (error := self.unfit(row)) is None or channel_error(channel, end, error)]
                self.journal.write(json.dumps([pipe, channel.name, good, end]) + "\n")
                self.journal.flush()
                self.tables.setdefault(pipe, []).extend(good)
                channel.parsed += len(rows)
                channel.inserted += len(good)
                channel.committed = end

    def unfit(self, row):
        for column in self.options.numbers:
            value = row.get(column)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                return f"Numeric value for column {column.upper()} is not recognized"
        return None

    def append(self, pipe, name, query, body):
        """Says whether the reply is to be sent."""
        options = self.options
        self.appends += 1
        if is_time(self.appends, options.fail_every):
            raise Refused(500, "INTERNAL_ERROR", "on purpose")
        if is_time(self.appends, options.busy_every):
            raise Refused(429, "TOO_MANY_REQUESTS", "on purpose", {"Retry-After": "0"})
        if PAYLOAD_BYTES_MAX < len(body):
            raise Refused(413, "PAYLOAD_TOO_LARGE", str(len(body)))
        channel = self.channel(pipe, name)
        if query.get("continuationToken") != channel.continuation():
            raise Refused(400, "STALE_CONTINUATION_TOKEN_SEQUENCER",
                          "Channel sequencer in the continuation token is stale. Please reopen the channel")
        try:
            rows = [json.loads(line) for line in body.decode().split("\n") if line]
        except ValueError as error:
            raise Refused(400, "INVALID_ROWS", str(error)) from error
        if not all(isinstance(row, dict) for row in rows):
            raise Refused(400, "INVALID_ROWS", "a row is no object")
        rows = [{column.lower(): value for column, value in row.items()} for row in rows]
        channel.row_sequencer += 1
        channel.waiting.append((time.time() + options.commit_seconds, rows, query.get("endOffsetToken")))
        return {"next_continuation_token": channel.continuation()}, not is_time(self.appends, options.lose_every)


def channel_error(channel, end, error):
    channel.errors += 1
    channel.error_bound, channel.error, channel.error_time = end, error, int(time.time() * 1000)
    return False


def is_time(count, every):
    return every and count % every == 0


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    account = None

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        url = urllib.parse.urlsplit(self.path)
        path = [urllib.parse.unquote(segment) for segment in url.path.strip("/").split("/")]
        query = dict(urllib.parse.parse_qsl(url.query))
        is_sent = True
        with self.account.lock:
            try:
                self.account.commit()
                status, headers = 200, {}
                reply, is_sent = self.route(path, query, body)
            except Refused as refused:
                status, headers = refused.status, refused.headers
                reply = {"code": refused.code, "message": refused.message}
                print(f"{self.command} {url.path}: {refused}", flush=True)
        if not is_sent:
            print(f"{self.command} {url.path}: not answered, on purpose", flush=True)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        data = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def route(self, path, query, body):
        account, authorization = self.account, self.headers.get("Authorization", "")
        match self.command, *path:
            case "GET", "table", *table:
                rows = account.tables.get(tuple(name.upper() for name in table), [])
                return "".join(json.dumps(row) + "\n" for row in rows), True
            case "GET", "count", *table:
                return str(len(account.tables.get(tuple(name.upper() for name in table), []))), True
            case "GET", "v2", "streaming", "hostname":
                account.check_jwt(authorization, self.headers.get("X-Snowflake-Authorization-Token-Type"))
                return self.headers["Host"], True
            case "POST", "oauth", "token":
                account.check_jwt(authorization, self.headers.get("X-Snowflake-Authorization-Token-Type"))
                return account.new_token(urllib.parse.parse_qs(body.decode()), self.headers["Host"]), True
        account.check_token(authorization)
        match self.command, *path:
            case "PUT", "v2", "streaming", "databases", database, "schemas", schema, "pipes", pipe, "channels", name:
                pipe = table_of(database, schema, pipe)
                channel = account.channels.setdefault((pipe, name.upper()), Channel(name))
                channel.open(json.loads(body or b"{}").get("offset_token"))
                return {"next_continuation_token": channel.continuation(), "channel_status": channel.status(pipe)}, True
            case "DELETE", "v2", "streaming", "databases", database, "schemas", schema, "pipes", pipe, "channels", name:
                pipe = table_of(database, schema, pipe)
                account.channel(pipe, name)
                del account.channels[(pipe, name.upper())]
                return {}, True
            case ("POST", "v2", "streaming", "data", "databases", database, "schemas", schema, "pipes", pipe,
                  "channels", name, "rows"):
                return account.append(table_of(database, schema, pipe), name, query, body)
            case "POST", "v2", "streaming", "databases", database, "schemas", schema, "pipes", action if (
                    action.endswith(":bulk-channel-status")):
                pipe = table_of(database, schema, action.removesuffix(":bulk-channel-status"))
                names = json.loads(body)["channel_names"]
                channels = {name: account.channels.get((pipe, name.upper())) for name in names}
                statuses = {name: channel.status(pipe) for name, channel in channels.items()
                            if channel is not None and channel.name == name}
                return {"channel_statuses": statuses}, True
        raise Refused(404, "NOT_FOUND", f"{self.command} {self.path}")

    def log_message(self, *_):
        pass


def table_of(database, schema, pipe):
    if not pipe.upper().endswith("-STREAMING"):
        raise Refused(404, "ERR_PIPE_DOES_NOT_EXIST_OR_IS_NOT_AUTHORIZED", pipe)
    return database.upper(), schema.upper(), pipe.upper().removesuffix("-STREAMING")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("public_key")
    parser.add_argument("account")
    parser.add_argument("user")
    parser.add_argument("--journal", required=True)
    parser.add_argument("--numbers", type=lambda text: text.split(","), default=[])
    parser.add_argument("--commit-seconds", type=float, default=0.2)
    for name in ("fail", "busy", "lose", "forget-tokens"):
        parser.add_argument(f"--{name}-every", type=int, default=0)
    Handler.account = Account(parser.parse_args())
    http.server.ThreadingHTTPServer(("127.0.0.1", Handler.account.options.port), Handler).serve_forever()


main()
