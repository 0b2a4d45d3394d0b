"""The version of nar that is installed."""

import importlib.metadata

try:
    __version__ = importlib.metadata.version("neural-algorithmic-reasoning")
except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"
