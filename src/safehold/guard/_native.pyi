from typing import Any

REVISION: int

def add_hook(
    hook: Any,
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
