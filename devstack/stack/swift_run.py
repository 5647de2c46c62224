#!/usr/bin/python3
"""Runs a Swift program with another directory than /etc/swift.

    swift_run.py DIR PROGRAM [ARG...]

The programs take their own configuration file as an argument, but read the
hash suffix and the storage policies from /etc/swift/swift.conf, always.
"""

import runpy
import sys

from swift.common import utils

utils.set_swift_dir(sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
