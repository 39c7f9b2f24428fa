"""Calls that are to be refused."""

from botocore.exceptions import ClientError


def refused(code, call, **arguments):
    """The call must be refused with this AWS error; its text."""
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{code} wanted, found {found}: {error}"
        return error.response["Error"]["Message"]
    raise AssertionError(f"{code} wanted, but the call succeeded")
