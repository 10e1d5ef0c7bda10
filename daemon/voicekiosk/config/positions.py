"""Find where each key and each value of a TOML document stands.

TOML parsers give values without places. This scanner gives places without values: it follows the
same grammar just far enough to know where keys, values and statements begin and end. It never
judges (that is tomli's work) and never raises; on a document that tomli refuses it goes on with the
next line where it can, so that one syntax error does not hide the problems after it.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

import tomli

Path = tuple[str | int, ...]
"""Where a value is: names of tables and keys, and indices into arrays."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A date and its time may stand apart by one space; everything else ends at the next delimiter.
_SCALAR = re.compile(r"(?:\d{4}-\d\d-\d\d (?=\d\d:))?[^\s,#\]}=]+")
_SINGLE_LINE = {
    '"': re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'),
    "'": re.compile(r"'[^'\n]*'"),
}
# Up to two quotes may stand directly before the closing three.
_MULTI_LINE = {
    '"""': re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    "'''": re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}"),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Offsets into the text of one key (its last part) and its value; `end` is where the value ends.

    A table that a header opens has its header as value; an element of an array has no key of its
    own, so both offsets are its own.
    """

    key: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A key with its value, or a header, from its first character to the end of its last line.

    `whole` is False where the scanner could not follow it and took the rest of the line.
    """

    start: int
    end: int
    header: bool
    whole: bool


@dataclass(slots=True)
class Positions:
    """All places in one document; lines and columns count from 1, columns in characters."""

    text: str
    marks: dict[Path, Mark] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    complete: bool = True
    _line_starts: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        """Index the lines."""
        self._line_starts += [m.end() for m in re.finditer(r"\n", self.text)]

    def line_column(self, offset: int) -> tuple[int, int]:
        """Return the line and column of a character."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a character, within the text."""
        return min(self._line_starts[line - 1] + column - 1, len(self.text))

    def statement_at(self, offset: int) -> Statement | None:
        """Return the last statement that begins at or before `offset`."""
        index = bisect_right(self.statements, offset, key=lambda statement: statement.start)
        return self.statements[index - 1] if index else None

    def nearest(self, path: Path) -> Mark | None:
        """Return the place of `path`, or of the innermost table around it that the document names."""
        for length in range(len(path), 0, -1):
            if (mark := self.marks.get(path[:length])) is not None:
                return mark
        return None


def scan(text: str) -> Positions:
    """Return the positions in `text`, in which line ends must be plain newlines."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _LostError(Exception):
    """The scanner met something that is not TOML."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Positions(text)
        # The table that the last header opened, and the index of the last element of each array of tables.
        self.table: Path = ()
        self.elements: dict[Path, int] = {}
        # Brackets and multi-line strings open in this statement: no telling where it would end.
        self.open = 0

    def document(self) -> None:
        while self._skip(_BLANK) < len(self.text):
            start, header, whole = self.at, self._peek() == "[", True
            self.open = 0
            try:
                self._header() if header else self._pair(self.table)
                self._skip(_REST_OF_LINE)
            except (_LostError, RecursionError):
                self.found.complete = whole = False
                end = -1 if self.open else self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end + 1
            self.found.statements.append(Statement(start, self.at, header, whole))

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()
        return self.at

    def _expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            raise _LostError
        self.at += len(token)

    def _header(self) -> None:
        start = self.at
        array = self.text.startswith("[[", start)
        self._expect("[[" if array else "[")
        parts = self._key()
        self._expect("]]" if array else "]")
        path: Path = ()
        for index, (name, offset) in enumerate(parts):
            path = (*path, name)
            self.found.marks.setdefault(path, Mark(offset, start, self.at))
            last = index == len(parts) - 1
            if array and last:
                self.elements[path] = self.elements.get(path, -1) + 1
            if path in self.elements:
                path = (*path, self.elements[path])
                self.found.marks.setdefault(path, Mark(offset, start, self.at))
        self.table = path

    def _key(self) -> list[tuple[str, int]]:
        parts = []
        while True:
            self._skip(_SPACE)
            start = self.at
            quote = self._peek()
            if quote in _SINGLE_LINE:
                self._skip(_SINGLE_LINE[quote])
                parts.append((_unquoted(self.text[start : self.at]), start))
            else:
                self._skip(_BARE_KEY)
                parts.append((self.text[start : self.at], start))
            self._skip(_SPACE)
            if self._peek() != ".":
                return parts
            self.at += 1

    def _pair(self, table: Path) -> None:
        parts = self._key()
        self._expect("=")
        self._skip(_SPACE)
        value, path = self.at, table
        for name, offset in parts[:-1]:
            path = (*path, name)
            self.found.marks.setdefault(path, Mark(offset, value, value))
        name, offset = parts[-1]
        self._value((*path, name), offset)

    def _value(self, path: Path, key: int) -> None:
        start = self.at
        # Marked before it is scanned, so that what follows inside knows where its table begins.
        self.found.marks.setdefault(path, Mark(key, start, start))
        match self._peek():
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'" as quote if self.text.startswith(quote * 3, start):
                self.open += 1
                self._skip(_MULTI_LINE[quote * 3])
                self.open -= 1
            case '"' | "'" as quote:
                self._skip(_SINGLE_LINE[quote])
            case _:
                self._skip(_SCALAR)
        if self.found.marks[path].value == start:
            self.found.marks[path] = Mark(key, start, self.at)

    def _array(self, path: Path) -> None:
        self._expect("[")
        self.open += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._peek() == "]":
                break
            self._value((*path, index), self.at)
            index += 1
            self._skip(_BLANK)
            if self._peek() != "]":
                self._expect(",")
        self._expect("]")
        self.open -= 1

    def _inline_table(self, path: Path) -> None:
        self._expect("{")
        self.open += 1
        while True:
            self._skip(_BLANK)
            if self._peek() == "}":
                break
            self._pair(path)
            self._skip(_BLANK)
            if self._peek() != "}":
                self._expect(",")
        self._expect("}")
        self.open -= 1


def _unquoted(token: str) -> str:
    try:
        (name,) = tomli.loads(f"{token}=0")
    except tomli.TOMLDecodeError as error:
        raise _LostError from error
    return name
