"""The command line: one file a command."""

import os

# TensorFlow's C++ chatter would bury the one line that a person is meant to read; it must be set before the import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
