"""Reads Rasa 3.1 NLU training data: one YAML file, or every one in a folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from nlu.annotation import parse_annotated
from nlu.errors import DataError
from nlu.examples import Example, TrainingData
from nlu.matchers import check_pattern

KINDS = ("intent", "synonym", "lookup", "regex")
_Items = list[tuple[str, int]]  # example text and its line in the file


def read_rasa_nlu(path: Path) -> TrainingData:
    """The training data of a YAML file or of all `*.yml`/`*.yaml` files below a folder.

    Raises DataError with the file and line of the first thing that cannot be read.
    """
    if path.is_dir():
        files = sorted([*path.rglob("*.yml"), *path.rglob("*.yaml")])
        if not files:
            raise DataError("no .yml file in this folder", path=path)
    else:
        files = [path]
    data = TrainingData()
    for file in files:
        data = data.merged(_read_file(file))
    if path.is_dir() and not data.examples:
        raise DataError("no intent examples in this folder", path=path)
    return data


def _read_file(path: Path) -> TrainingData:
    try:
        source = path.read_text(encoding="utf-8")
        # Nodes instead of values: they carry line numbers.
        root = yaml.compose(source, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except UnicodeDecodeError:
        raise DataError("not UTF-8 text", path=path) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DataError(f"not valid YAML: {error.problem}", path=path, line=line) from None
    if root is None:
        return TrainingData()
    top = _mapping(root, path, "the file")
    version = top.get("version")
    if isinstance(version, yaml.ScalarNode) and not version.value.startswith("3"):
        raise DataError(
            f'version is {version.value!r}; this reads the format of Rasa 3, version: "3.1"',
            path=path,
            line=_line(version),
        )
    sections = top.get("nlu")
    if sections is None:
        return TrainingData()
    if not isinstance(sections, yaml.SequenceNode):
        raise DataError("`nlu` must be a list", path=path, line=_line(sections))
    reader = _Reader(path)
    for section in sections.value:
        reader.section(section)
    return reader.data()


class _Reader:
    """Collects the sections of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.examples: list[Example] = []
        self.synonyms: dict[str, str] = {}
        self.lookups: dict[str, tuple[str, ...]] = {}
        self.regexes: dict[str, tuple[str, ...]] = {}

    def data(self) -> TrainingData:
        return TrainingData(
            examples=tuple(self.examples),
            synonyms=self.synonyms,
            lookups=self.lookups,
            regexes=self.regexes,
        )

    def section(self, node: yaml.Node) -> None:
        fields = _mapping(node, self.path, "an entry of `nlu`")
        kinds = [kind for kind in KINDS if kind in fields]
        if len(kinds) != 1:
            raise DataError(
                f"an entry of `nlu` needs one of {', '.join(KINDS)}",
                path=self.path,
                line=_line(node),
            )
        kind = kinds[0]
        name = str(fields[kind].value).strip()
        if not name or not isinstance(fields[kind], yaml.ScalarNode):
            raise DataError(f"{kind} needs a name", path=self.path, line=_line(fields[kind]))
        if "examples" not in fields:
            raise DataError(f"{kind} {name} has no examples", path=self.path, line=_line(node))
        items = list(_items(fields["examples"], self.path, f"{kind} {name}"))
        if not items:
            raise DataError(f"{kind} {name} has no examples", path=self.path, line=_line(node))
        readers: dict[str, Callable[[str, _Items], None]] = {
            "intent": self.intent,
            "synonym": self.synonym,
            "lookup": self.lookup,
            "regex": self.regex,
        }
        readers[kind](name, items)

    def intent(self, name: str, items: _Items) -> None:
        for line_text, line in items:
            try:
                text, spans = parse_annotated(line_text)
            except ValueError as error:
                raise DataError(f"intent {name}: {error}", path=self.path, line=line) from None
            if not text.strip():
                raise DataError(f"intent {name}: an empty example", path=self.path, line=line)
            self.examples.append(Example(text=text, intent=name, spans=spans))
            for span in spans:
                if span.value is not None:
                    self.synonyms[text[span.start : span.end].lower()] = span.value

    def synonym(self, name: str, items: _Items) -> None:
        for variant, _ in items:
            self.synonyms[variant.lower()] = name

    def lookup(self, name: str, items: _Items) -> None:
        self.lookups[name] = self.lookups.get(name, ()) + tuple(text for text, _ in items)

    def regex(self, name: str, items: _Items) -> None:
        for pattern, line in items:
            try:
                check_pattern(pattern)
            except ValueError as error:
                raise DataError(f"regex {name}: {error}", path=self.path, line=line) from None
        self.regexes[name] = self.regexes.get(name, ()) + tuple(text for text, _ in items)


def _items(node: yaml.Node, path: Path, owner: str) -> Iterator[tuple[str, int]]:
    """The example lines: `- ` lines of a block of text, or a list of texts or of {text: ...}."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            fields = _mapping(item, path, owner) if isinstance(item, yaml.MappingNode) else {}
            text = fields.get("text", item)
            if not isinstance(text, yaml.ScalarNode):
                raise DataError(f"{owner}: an example needs text", path=path, line=_line(item))
            yield text.value.strip().removeprefix("- ").strip(), _line(text)
        return
    if not isinstance(node, yaml.ScalarNode):
        raise DataError(f"{owner}: examples must be text", path=path, line=_line(node))
    first = _line(node) + (1 if node.style in ("|", ">") else 0)
    for number, line in enumerate(node.value.splitlines(), first):
        text = line.strip()
        if not text:
            continue
        if not text.startswith("- "):
            raise DataError(
                f"{owner}: an example line must begin with '- ', not {text[:30]!r}",
                path=path,
                line=number,
            )
        yield text[2:].strip(), number


def _mapping(node: yaml.Node, path: Path, what: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise DataError(f"{what} must be a mapping of keys", path=path, line=_line(node))
    return {str(key.value): value for key, value in node.value}


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
