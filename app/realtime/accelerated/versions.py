"""The versions of the libraries whose private parts the accelerated delivery was tested with."""

from importlib.metadata import version

TESTED_VERSIONS = {"uvicorn": ("0.54.0",), "websockets": ("17.4",)}


def untested() -> list[str]:
    """Return the libraries whose installed version was not tested, each as `name version`."""
    installed = {name: version(name) for name in TESTED_VERSIONS}
    return [
        f"{name} {found}" for name, found in installed.items() if found not in TESTED_VERSIONS[name]
    ]
