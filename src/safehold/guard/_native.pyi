from collections.abc import Callable
from typing import Any

REVISION: int

def add_hook(
    hook: Callable[[str, tuple[Any, ...]], None],
    record: Callable[[str], None],
    handled: tuple[str, ...],
    live: dict[int, Any],
    plain: set[tuple[str, str]],
    minted_names: dict[tuple[str, str], Any],
    minted: Any,
    modules: dict[str, Any],
    strict: bool,
    refuses: bool,
) -> None: ...
def type_modified(kind: type, /) -> None: ...

class Tags:
    def __init__(self, most: int) -> None: ...
    def __len__(self) -> int: ...
    def __contains__(self, tag: int, /) -> bool: ...
    def __setitem__(self, tag: int, state: int, /) -> None: ...
    def get(self, tag: int, /) -> int | None: ...

def entries(
    raw_loads: Callable[..., Any],
    raw_dumps: Callable[..., bytes],
    loads: Callable[..., Any],
    begin: Callable[[bytes], Any],
    known: Tags,
    live: dict[int, Any],
    minted: Any,
    codes: set[int],
    cache: dict[int, Any],
    spare: dict[int, Any],
    magic: bytes,
    strict: bool,
) -> tuple[Callable[..., Any], Callable[..., bytes]]: ...
