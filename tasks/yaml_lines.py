"""YAML files with the line of every key, so that an error can name the line to mend."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from models.errors import ConfigError

Place = tuple[str | int, ...]
"""Where something is in a file: keys of mappings and numbers of list items, outermost first."""

_MERGE = "<<"


class LinedFile:
    """What a YAML file holds, and on which line.

    Raises
    ------
    ConfigError
        The file can't be read, is not YAML, holds no mapping, or a key twice (of which YAML
        would silently take the last).
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.lines: dict[Place, int] = {}
        try:
            text = path.read_text(encoding="utf-8")
            self.data: dict[str, Any] = yaml.safe_load(text)
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except OSError as error:
            raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self.name}: is not valid YAML: {reason}") from None
        if not isinstance(self.data, dict):
            raise ConfigError(
                f"{self.name}: must hold keys and values, not {type(self.data).__name__}"
            )
        self._walk(root, ())

    def error(self, place: Place, reason: str) -> str:
        """Say where something is wrong: the file, its line, the key, the reason."""
        line = next(
            (
                self.lines[place[:end]]
                for end in range(len(place), 0, -1)
                if place[:end] in self.lines
            ),
            1,
        )
        return f"{self.name}, line {line}: {'.'.join(map(str, place)) or 'file'}: {reason}"

    def unknown_keys(self, place: Place, given: Any, known: Iterable[str]) -> list[str]:
        """Say which keys of the mapping at `place` are not `known`; also that it is no mapping."""
        if not isinstance(given, Mapping):
            return [self.error(place, f"must hold keys and values, not {given!r}")]
        allowed = sorted(known)
        faults = []
        for key in given:
            if key not in allowed:
                close = get_close_matches(str(key), allowed, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(allowed)}"
                faults.append(self.error((*place, key), f"unknown key; {hint}"))
        return faults

    def _walk(self, node: yaml.Node | None, place: Place) -> None:
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.lines.setdefault((*place, number), item.start_mark.line + 1)
                self._walk(item, (*place, number))
        elif isinstance(node, yaml.MappingNode):
            self._walk_mapping(node, place)

    def _walk_mapping(self, node: yaml.MappingNode, place: Place) -> None:
        seen: set[str] = set()
        merged = []
        for key, value in node.value:
            if key.value == _MERGE:
                merged.append(value)
                continue
            here = (*place, key.value)
            if key.value in seen:
                self.lines[here] = key.start_mark.line + 1
                raise ConfigError(self.error(here, "is there twice"))
            seen.add(key.value)
            self.lines.setdefault(here, key.start_mark.line + 1)
            self._walk(value, here)
        # What is merged in comes last: a key of the mapping itself is the one that counts.
        for value in merged:
            each = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in each:
                self._walk(one, place)
