#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a dynamic inventory of netprobify, unchanged, as a command of netprobe-xdp.

    inventories:
      network_devices:            # the module's name: targets keep their names
        command: [/path/to/netprobify-inventory.py, dynamic_inventories, network_devices]
        streaming: true
        timeout: 120

The module is imported as netprobify.dynamic_inventories.MODULE and its start()
is called in a process of its own, with what netprobify calls it with: a
dictionary shared among processes, the module's name, the logging level and the
name of the module's own configuration, MODULE.yaml. Whatever it puts into
targets[MODULE] is written to standard output, one line of JSON for each state of
the list, and again every half minute as a sign of life. Needs Python 3.9 or later
and nothing else; what the module itself imports must be installed.
"""

import argparse
import collections.abc
import datetime
import importlib
import importlib.util
import inspect
import json
import logging
import multiprocessing
import multiprocessing.managers
import os
import pkgutil
import sys
import threading
import time
import types

LOOK = 1.0  # seconds between two looks at the list
REPEAT = 30.0  # seconds after which the list is written again


def die_with_parent():
    """End this process when the one that started it is gone, however it ended."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def modules(directory):
    """Yield the path within the package of every module below directory."""
    for info in pkgutil.iter_modules([directory]):
        if info.ispkg:
            for below in modules(os.path.join(directory, info.name)):
                yield info.name + "." + below
        else:
            yield info.name


def load(directory, name):
    """Import the module of this name, or of this path with dots, below directory."""
    found = [path for path in modules(directory) if name in (path, path.rpartition(".")[2])]
    if len(found) != 1:
        there = ", ".join(modules(directory)) or "none"
        sys.exit(f"{'no module' if not found else 'more than one module'} {name} in {directory}; there: {there}")
    # Modules may import netprobify where it is installed; where it is not, an
    # empty package stands for it.
    if importlib.util.find_spec("netprobify") is None:
        sys.modules["netprobify"] = types.ModuleType("netprobify")
        sys.modules["netprobify"].__path__ = []
    package = types.ModuleType("netprobify.dynamic_inventories")
    package.__path__ = [directory]
    sys.modules[package.__name__] = package
    importlib.import_module("netprobify").dynamic_inventories = package
    return importlib.import_module(package.__name__ + "." + found[0])


def run(module, *arguments):
    """Call start() of the module, which may take fewer arguments than there are."""
    die_with_parent()
    parameters = inspect.signature(module.start).parameters.values()
    if not any(p.kind == p.VAR_POSITIONAL for p in parameters):
        arguments = arguments[: sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)]
    module.start(*arguments)


def plain(value):
    """Return what JSON has for a value of Python that it does not know."""
    if isinstance(value, datetime.datetime):
        return value.astimezone().isoformat()  # without a zone it is local time
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    if isinstance(value, collections.abc.Iterable):
        return list(value)
    return str(value)


def line(targets):
    """Return the list as one line of JSON. A target that cannot be written is left out."""
    items = []
    for target in targets:
        try:
            items.append(json.dumps(target, default=plain, allow_nan=False, sort_keys=True))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            print(f"left out {target!r:.200}: {error}", file=sys.stderr)
    return "[" + ", ".join(items) + "]\n"


def main():
    parser = argparse.ArgumentParser(description="Run a dynamic inventory of netprobify as a command of netprobe-xdp.")
    parser.add_argument("directory", metavar="DIRECTORY", help="where the modules are, dynamic_inventories")
    parser.add_argument("module", metavar="MODULE", help="which of them; the inventory is to have its name")
    parser.add_argument("--logging-level", default="INFO", help="what the module is told, INFO unless said otherwise")
    parser.add_argument("--config", help="the module's own configuration, MODULE.yaml unless said otherwise")
    given = parser.parse_args()
    directory = os.path.abspath(given.directory)
    if not os.path.isdir(directory):
        sys.exit(f"{given.directory} is no directory")
    name = given.module.rpartition(".")[2]

    # The list alone is written to standard output, not what a module prints.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    logging.basicConfig(stream=sys.stderr)
    module = load(directory, given.module)
    context = multiprocessing.get_context("fork")
    manager = multiprocessing.managers.SyncManager(ctx=context)
    manager.start(initializer=die_with_parent)
    targets = manager.dict()
    process = context.Process(target=run, args=(module, targets, name, given.logging_level, given.config or name + ".yaml"))
    process.start()

    # Before a module has said anything its list is not empty but unknown.
    last, written = None, 0.0
    while True:
        now = targets.get(name)
        if now is None and last is not None:
            now = []
        if now is not None and (now != last or time.monotonic() - written > REPEAT):
            output.write(line(now))
            output.flush()
            last, written = now, time.monotonic()
        # As in netprobify, the list of a module that returned stays.
        if process.exitcode:
            sys.exit(f"{name}: start() ended with {process.exitcode}")
        process.join(LOOK) if process.is_alive() else time.sleep(LOOK)


if __name__ == "__main__":
    main()
