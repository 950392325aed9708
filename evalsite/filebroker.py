"""Messages as files: the broker of the laptop mode, where nothing but Python is installed.

kombu's own file system transport writes a message under its final name, so that a worker can take it half
written, and keeps all queues in one folder, which every poll of every queue lists. Here a message gets its
name when it is whole, and each queue has a folder of its own.
"""

import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    def _folder(self, queue: str) -> Path:
        folder = Path(self.data_folder_in) / queue
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _messages(self, queue: str) -> list[str]:
        return sorted(name for name in os.listdir(self._folder(queue)) if name.endswith(".msg"))

    def _put(self, queue: Any, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = self._folder(queue)
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        (folder / f"{name}.part").write_text(dumps(payload), encoding="utf-8")
        os.rename(folder / f"{name}.part", folder / f"{name}.msg")

    def _get(self, queue: Any, timeout: Any = None) -> Any:
        folder = self._folder(queue)
        for name in self._messages(queue):
            taken = folder / f"{name}.{uuid.uuid4().hex}.taken"
            try:
                os.rename(folder / name, taken)  # only one worker can win this
            except FileNotFoundError:
                continue
            payload = taken.read_text(encoding="utf-8")
            taken.unlink()
            return loads(payload)
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._messages(queue))

    def _purge(self, queue: str) -> int:
        removed = 0
        for name in self._messages(queue):
            (self._folder(queue) / name).unlink(missing_ok=True)
            removed += 1
        return removed


class Transport(filesystem.Transport):
    Channel = Channel
