"""What tests share that build a project which is not ours."""

import json
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def readme_example():
    """The first C++ program of README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"```cpp\n(#include.*?int main.*?)```", text, re.S).group(1)


def write_programs(folder):
    """readme.cpp and those of examples/; a file that is right is left alone, so that nothing is built anew."""
    texts = {"readme.cpp": readme_example()}
    for path in sorted((ROOT / "examples").glob("*.cpp")):
        texts[path.name] = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def flags_of(build, name):
    """How a source file is compiled, without compiler, language level and the names of files."""
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    command = next(entry["command"] for entry in commands if Path(entry["file"]).name == name)
    ignored = rf"-std=(c|gnu)\+\+20|-o|-c|.*{re.escape(name)}(\.o)?"
    return [word for word in shlex.split(command)[1:] if not re.fullmatch(ignored, word)]
