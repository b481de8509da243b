"""What a frozen program needs of ferrio beyond what PyInstaller finds by itself.

It reads the imports of Python code. These modules are imported by the extension module; a test
compares the list with its source.
"""

hiddenimports = [
    "ferrio._refusal",
    "ferrio._relay",
    "ferrio._shown",
    "ferrio._socket_transport",
    "ferrio._tls",
    "ferrio._waiting",
    "ferrio.aio",
    "ferrio.aio._locks",
    "ferrio.aio._task_group",
    "ferrio.aio._tasks",
    "ferrio.aio._timeouts",
]
