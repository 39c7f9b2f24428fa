"""A stand-in for Amazon Redshift: PostgreSQL, and in front of it a proxy that carries out COPY from S3.

    redshift.py PORT POSTGRES_PORT DIRECTORY S3_ENDPOINT SQL

Simple queries go to PostgreSQL as they are, but for COPY ... FROM 's3://...': for this the proxy reads the manifest
and the objects with the access key in the command, or with that of the role `default`, which it has in the environment
as ROLE_ACCESS_KEY and ROLE_SECRET_KEY, and feeds their rows to PostgreSQL in the client's own session, and
transaction. It knows JSON 'auto' and CSV, GZIP, and lists of columns. The database is dev, its user loader with
the password loaded, and SQL is run in it first.
"""

import asyncio
import csv
import glob
import gzip
import io
import json
import os
import pathlib
import re
import struct
import subprocess
import sys

import boto3

COPY = re.compile(r"""\s*COPY\s+(?P<table>"[^"]+"(?:\."[^"]+")*)\s*(?:\((?P<columns>[^)]*)\))?\s+
                      FROM\s+'s3://(?P<bucket>[^/']+)/(?P<key>[^']+)'(?P<options>.*)""", re.I | re.S | re.X)
TLS_REQUEST, CANCEL_REQUEST = 80_877_103, 80_877_102
DATA_BYTES = 1 << 16


def start_postgres(directory, port, sql):
    """Ends with this process, however that ends. Its data may be there from before."""
    programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
    directory.mkdir(parents=True, exist_ok=True)
    as_user = []
    if os.geteuid() == 0:
        # It refuses to run as root.
        as_user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run(["chown", "postgres", directory], check=True)
        directory.parent.chmod(0o755)
    run_as = ["setpriv", "--pdeathsig", "QUIT", *as_user, "--"]
    data, password = directory / "data", directory / "password"
    is_new = not data.exists()
    if is_new:
        password.write_text("loaded\n")
        subprocess.run([*run_as, f"{programs}/initdb", "--pgdata", data, "--username=loader", f"--pwfile={password}",
                        "--auth=md5", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*run_as, f"{programs}/postgres", "-D", data, "-p", str(port), "-k", "",
                               "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"])
    psql = ["psql", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "loader", "-v", "ON_ERROR_STOP=1"]
    environment = {**os.environ, "PGPASSWORD": "loaded"}
    while subprocess.run([f"{programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
        assert server.poll() is None, "PostgreSQL does not start"
    if is_new:
        subprocess.run([*psql, "-c", "CREATE DATABASE dev", "postgres"], check=True, env=environment)
        subprocess.run([*psql, "-c", sql, "dev"], check=True, env=environment)


def objects(command, endpoint):
    """What the manifest lists, unpacked."""
    def value(name):
        return re.search(rf"\b{name}\s+'([^']*)'", command["options"], re.I).group(1)

    is_role = re.search(r"\bIAM_ROLE\s+default\b", command["options"], re.I)
    key = ([os.environ[name] for name in ("ROLE_ACCESS_KEY", "ROLE_SECRET_KEY")] if is_role
           else [value("ACCESS_KEY_ID"), value("SECRET_ACCESS_KEY")])
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key[0],
                      aws_secret_access_key=key[1])
    assert re.search(r"\bMANIFEST\b", command["options"], re.I), "only manifests are known here"
    manifest = s3.get_object(Bucket=command["bucket"], Key=command["key"])["Body"].read()
    for entry in json.loads(manifest)["entries"]:
        bucket, key = entry["url"].removeprefix("s3://").split("/", 1)
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        yield gzip.decompress(body) if re.search(r"\bGZIP\b", command["options"], re.I) else body


def json_values(text):
    """Values with white space between, or without."""
    decoder, at = json.JSONDecoder(), 0
    while (at := re.compile(r"\s*").match(text, at).end()) < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value


def as_csv(command, columns, bodies):
    if not re.search(r"\bJSON\s+'auto'", command["options"], re.I):
        yield from bodies
        return
    for body in bodies:
        rows = io.StringIO()
        write = csv.writer(rows, lineterminator="\n").writerow
        for value in json_values(body.decode()):
            write(["" if value.get(column) is None else value[column] for column in columns])
        yield rows.getvalue().encode()


def message(tag, body=b""):
    return tag + struct.pack("!I", len(body) + 4) + body


class Session:
    def __init__(self, endpoint, client, server):
        self.endpoint, (self.reader, self.writer), (self.from_server, self.to_server) = endpoint, client, server

    @staticmethod
    async def receive(reader):
        tag = await reader.readexactly(1)
        length, = struct.unpack("!I", await reader.readexactly(4))
        return tag, await reader.readexactly(length - 4)

    async def answers(self, until):
        """What the server says, up to a message of one of these kinds."""
        answers = []
        while not answers or answers[-1][0] not in until:
            answers.append(await self.receive(self.from_server))
        return answers

    async def ask(self, sql):
        self.to_server.write(message(b"Q", sql.encode() + b"\0"))
        return await self.answers(b"ZG")

    async def startup(self):
        while True:
            length, code = struct.unpack("!II", await self.reader.readexactly(8))
            rest = await self.reader.readexactly(length - 8)
            if code == TLS_REQUEST:
                self.writer.write(b"N")
                continue
            self.to_server.write(struct.pack("!II", length, code) + rest)
            if code == CANCEL_REQUEST:
                raise ConnectionError("there is no more")
            return

    async def run(self):
        await self.startup()
        # The login: a message of the client's for each that asks for one.
        while True:
            answers = await self.answers(b"RZE")
            self.tell(answers)
            tag, body = answers[-1]
            if tag == b"Z":
                break
            if tag == b"R" and body[:4] != bytes(4):
                self.to_server.write(message(*await self.receive(self.reader)))
        while True:
            tag, body = await self.receive(self.reader)
            if tag == b"X":
                return
            assert tag == b"Q", "statements are not prepared"
            sql = body[:-1].decode()
            command = COPY.fullmatch(sql)
            self.tell(await (self.copy(command) if command else self.ask(sql)))

    def tell(self, answers):
        for tag, body in answers:
            self.writer.write(message(tag, body))

    async def copy(self, command):
        named = command["columns"]
        columns = re.findall(r'"([^"]+)"', named) if named else []
        if not columns:
            answers = await self.ask("SELECT attname FROM pg_attribute WHERE 0 < attnum AND NOT attisdropped AND "
                                     f"attrelid = '{command['table']}'::regclass ORDER BY attnum")
            if any(tag == b"E" for tag, _ in answers):
                return answers
            # One column: how many there are, its length, its text.
            columns = [body[6:].decode() for tag, body in answers if tag == b"D"]
        try:
            texts = await asyncio.to_thread(lambda: list(as_csv(command, columns, objects(command, self.endpoint))))
        except Exception as error:
            text = str(error).replace("'", "''")
            return await self.ask(f"DO $do$ BEGIN RAISE EXCEPTION USING MESSAGE = '{text}'; END $do$")
        names = ", ".join(f'"{column}"' for column in columns)
        answers = await self.ask(f"COPY {command['table']} ({names}) FROM STDIN (FORMAT csv)")
        if answers[-1][0] == b"Z":
            return answers
        for text in texts:
            for at in range(0, len(text), DATA_BYTES):
                self.to_server.write(message(b"d", text[at:at + DATA_BYTES]))
                await self.to_server.drain()
        self.to_server.write(message(b"c"))
        return await self.answers(b"Z")


async def serve(port, postgres_port, endpoint):
    async def connected(*client):
        server = await asyncio.open_connection("127.0.0.1", postgres_port)
        try:
            await Session(endpoint, client, server).run()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            client[1].close()
            server[1].close()

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


def main(port, postgres_port, directory, endpoint, sql):
    start_postgres(pathlib.Path(directory), int(postgres_port), sql)
    asyncio.run(serve(int(port), int(postgres_port), endpoint))


main(*sys.argv[1:])
