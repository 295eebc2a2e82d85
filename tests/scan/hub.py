"""Makes a cache of Hugging Face as its library does: content in blobs, names as links."""

from __future__ import annotations


class Cache:
    """Puts files as the library does: content in blobs, names as links."""

    def __init__(self, root):
        self.root = root
        root.mkdir()
        (root / "version.txt").write_text("1")
        (root / ".locks").mkdir()

    def repository(self, name):
        return self.root / name

    def put(self, repository, revision, name, data, blob):
        top = self.repository(repository)
        (top / "blobs").mkdir(parents=True, exist_ok=True)
        (top / "refs").mkdir(exist_ok=True)
        (top / "refs" / "main").write_text(revision)
        (top / "blobs" / blob).write_bytes(data)
        place = top / "snapshots" / revision / name
        place.parent.mkdir(parents=True, exist_ok=True)
        depth = "../" * (2 + name.count("/"))
        place.symlink_to(f"{depth}blobs/{blob}")
        return place
