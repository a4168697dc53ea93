"""Makes a wheel of this directory: the package is plain files, so that takes no tool, and no network."""

import base64
import hashlib
import os
import re
import tarfile
import zipfile

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with open(os.path.join(HERE, "pyproject.toml")) as _file:
    VERSION = re.search('^version = "(.*)"$', _file.read(), re.M).group(1)
NAME = "pinfold"
TAG = "py3-none-any"
INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"""Metadata-Version: 2.1
Name: {NAME}
Version: {VERSION}
Summary: Tasks in worker processes, by shared memory: the face of pinfold for Python.
License: MIT OR Apache-2.0
Requires-Python: >=3.8
"""


def _wheel(directory, files):
    name = f"{NAME}-{VERSION}-{TAG}.whl"
    wheel = f"Wheel-Version: 1.0\nGenerator: pinfold\nRoot-Is-Purelib: true\nTag: {TAG}\n"
    files = {**files, f"{INFO}/METADATA": METADATA.encode(), f"{INFO}/WHEEL": wheel.encode()}
    record = ""
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(content)}\n"
            archive.writestr(path, content)
        archive.writestr(f"{INFO}/RECORD", record + f"{INFO}/RECORD,,\n")
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {}
    package = os.path.join(HERE, NAME)
    for name in sorted(os.listdir(package)):
        if name.endswith((".py", ".typed")):
            with open(os.path.join(package, name), "rb") as file:
                files[f"{NAME}/{name}"] = file.read()
    return _wheel(wheel_directory, files)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {f"{NAME}.pth": (HERE + "\n").encode()})


def build_sdist(sdist_directory, config_settings=None):
    name = f"{NAME}-{VERSION}.tar.gz"
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz") as archive:
        for part in ("pyproject.toml", "README.md", NAME, "backend"):
            archive.add(os.path.join(HERE, part), f"{NAME}-{VERSION}/{part}")
    return name
