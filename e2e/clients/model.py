"""A service model of botocore, and what is seen of it: whoever compares a server with it begins here, before any
client is made.
"""

import collections
import pathlib
import re

import boto3
from botocore.loaders import Loader

ROOT = pathlib.Path(__file__).parents[2]
# For each type of a member, a value of another.
WRONG = {"string": {}, "integer": "x", "long": "x", "double": "x", "boolean": "x", "timestamp": {}, "blob": {},
         "list": "x", "map": "x", "structure": "x"}


class ServiceModel:
    """The model, and which members of replies and which errors clients of the default session have been given."""

    def __init__(self, service):
        model = Loader().load_service_model(service, "service-2")
        self.operations, self.shapes = model["operations"], model["shapes"]
        self.seen_members = collections.defaultdict(set)
        self.seen_errors = collections.defaultdict(set)
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION.events.register(f"after-call.{service}.*", self.record)

    def record(self, parsed, model, **_):
        if "Error" in parsed:
            self.seen_errors[model.name].add(parsed["Error"]["Code"])
        else:
            self.seen_members[model.name].update(members_of(parsed))

    def seen(self, operation):
        return self.seen_members[operation] | self.seen_errors[operation]

    def inputs(self, operation, leave_out=()):
        """Every member of a request, but those that are left out and what is in them: its path and its type."""
        shape = self.shapes[self.operations[operation]["input"]["shape"]]
        for name, member in shape.get("members", {}).items():
            if name not in leave_out:
                yield from self.inputs_of(member["shape"], (name,))

    def inputs_of(self, shape, path):
        kind = self.shapes[shape]
        yield path, kind["type"]
        if kind["type"] == "structure":
            for name, member in kind.get("members", {}).items():
                yield from self.inputs_of(member["shape"], path + (name,))
        if kind["type"] == "list":
            yield from self.inputs_of(kind["member"]["shape"], path + (0,))
        if kind["type"] == "map":
            yield path + ("key",), self.shapes[kind["value"]["shape"]]["type"]

    def answers(self, operation):
        """Every member of a reply, and every error."""
        description = self.operations[operation]
        members = self.outputs(description["output"]["shape"]) if "output" in description else ()
        return (*members, *(error["shape"] for error in description.get("errors", [])))

    def outputs(self, shape, path="", within=()):
        if shape in within:
            return
        kind = self.shapes[shape]
        if kind["type"] == "list":
            yield from self.outputs(kind["member"]["shape"], path, within)
        for name, member in kind.get("members", {}).items():
            if not self.shapes[member["shape"]].get("exception"):
                yield f"{path}.{name}"
                yield from self.outputs(member["shape"], f"{path}.{name}", within + (shape,))


def members_of(value, path=""):
    """The paths of all members in a parsed reply."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from members_of(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from members_of(inner, path)


def nested(path, value):
    """What has the value at this path."""
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return value


def body_of(file, function):
    """The text of a test in Rust; none, if there is no such test."""
    text = (ROOT / file).read_text()
    found = re.search(rf"^#\[(?:tokio::)?test\b[^\n]*\n(?:async )?fn {function}\(\) \{{\n(.*?)^}}", text, re.M | re.S)
    return found and found[1]
