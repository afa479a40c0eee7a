"""The table of hostile values (values.json), for tests in Python."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TABLE = json.loads((FOLDER / "values.json").read_text(encoding="utf-8"))
REQUESTS = json.loads((FOLDER / "requests.json").read_text(encoding="utf-8"))
PLACE = "put it here"  # a text of its own in a document, which a hostile value replaces


def hostile_values(kind):
    """JSON texts that a field of this kind must refuse."""
    return list(dict.fromkeys(text for sample in TABLE["refused"][kind] for text in TABLE["samples"][sample]))


def broken_documents():
    """{name: bytes that are no JSON}"""
    return {
        name: entry["text"].encode("latin-1") * entry.get("times", 1)
        for name, entry in TABLE["broken_documents"].items()
        if name != "note"
    }


def kind_of(value):
    """The kind of a field that holds this value, where nobody says another."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "object"}
    return kinds[type(value)]


def _walk(value, path):
    """(JSON pointer, value) of everything in a document, itself left out."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield f"{path}/{key}", inner
        yield from _walk(inner, f"{path}/{key}")


def _with(value, path, new):
    """A copy of the document with another value at a pointer."""
    first, _, rest = path[1:].partition("/")
    inner = _with(value[int(first) if isinstance(value, list) else first], f"/{rest}", new) if rest else new
    if isinstance(value, list):
        return [inner if i == int(first) else entry for i, entry in enumerate(value)]
    return {**value, first: inner}


def spoiled(document, kinds):
    """(JSON pointer, hostile value, text of the document with it) for everything in a right document. `kinds` has the
    kinds that do not follow from the values, by pointer; "any" is left alone, with all in it."""
    for path, value in _walk(document, ""):
        if any(kind == "any" and f"{path}/".startswith(f"{free}/") for free, kind in kinds.items()):
            continue
        text = json.dumps(_with(document, path, PLACE))
        for hostile in hostile_values(kinds.get(path, kind_of(value))):
            yield path, hostile, text.replace(json.dumps(PLACE), hostile)
