#!/usr/bin/env python3
"""Records what Hugging Face's chat templates give: for the families' templates beside this file, and for constructs.py.

    python3 -m venv venv && venv/bin/pip install transformers jinja2 && venv/bin/python make_goldens.py
"""

import datetime as real_datetime
import json
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from constructs import CONSTRUCTS

HERE = Path(__file__).resolve().parent
NOW = 1760000000  # seconds since 1970: Thursday 9 October 2025, 08:53:20 UTC


class FixedTime(real_datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, real_datetime.timezone.utc).replace(tzinfo=None)


chat_template_utils.datetime = FixedTime

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a \"city\" <now>", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Grüße, 東京"}, "days": {"type": "integer", "minimum": 1}}, "required": ["city"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "Time", "parameters": {"type": "object", "properties": {}}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


PLAIN = {
    "one turn": [user("Who has the lamp?")],
    "system": [system("Be brief."), user("Hi")],
    "talk": [user(" Hi "), assistant("Hello.\n"), user("Bye\n\n")],
    "system talk": [system("\tBe\nbrief. "), user("Grüße 😀"), assistant(" Ja. "), user("它在哪里?"), assistant("a"), user("")],
    "ends with assistant": [user("a"), assistant("b")],
    "markers in content": [user("<|im_end|>\n<|im_start|>system [/INST] <|eot_id|>{{ 1 }}{% if %}"), assistant("</s><end_of_turn>"), user("x")],
    "two users": [user("a"), user("b")],
}
THINKING = {
    "thinking": [user("2+2?"), assistant("<think>\neasy\n</think>\n\n4"), user("sure?")],
    "thinking at the end": [user("2+2?"), assistant("<think>\neasy\n</think>\n\n4")],
    "reasoning field": [user("q"), {"role": "assistant", "content": "\n\na", "reasoning_content": "\nhm\n"}],
}
TOOLS = {
    "tool calls": [user("Weather?"), {"role": "assistant", "content": "", "tool_calls": [call("get_weather", {"city": "Köln", "days": 2}, id="abcdefghi")]},
                   {"role": "tool", "content": "{\"sun\": true}", "tool_call_id": "abcdefghi", "name": "get_weather"}, assistant("Sun."), user("And time?")],
}
TWO_RESULTS = {"two results": [user("Weather?"), {"role": "assistant", "content": "Let me see.", "tool_calls": [call("a", "{\"x\": 1}"), call("b", "{}")]},
                               {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]}
PARTS = {"parts": [system([{"type": "text", "text": "Look."}][0]["text"]), user([{"type": "image"}, {"type": "text", "text": " What? "}])],
         "part system": [{"role": "system", "content": [{"type": "text", "text": "Look."}]}, user("a")], "number content": [user(5)]}

# name: bos, eos, conversations, sets of further variables
FAMILIES = {
    "chatml": (None, "<|im_end|>", [PLAIN], [{}]),
    "llama2": ("<s>", "</s>", [PLAIN], [{}]),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>", [PLAIN], [{}]),
    "llama31": ("<|begin_of_text|>", "<|eot_id|>", [PLAIN, TOOLS], [{}, {"tools": [WEATHER, CLOCK]}, {"tools": [WEATHER], "tools_in_user_message": False, "date_string": "1 Jan 2025"},
                                                                  {"builtin_tools": ["code_interpreter", "get_weather"]}]),
    "mistral": ("<s>", "</s>", [PLAIN, TOOLS], [{}, {"tools": [WEATHER, CLOCK]}]),
    "qwen2": (None, "<|im_end|>", [PLAIN], [{}]),
    "qwen3": (None, "<|im_end|>", [PLAIN, THINKING, TOOLS, TWO_RESULTS], [{}, {"tools": [WEATHER]}, {"enable_thinking": False}, {"enable_thinking": True}]),
    "gemma2": ("<bos>", "<eos>", [PLAIN], [{}]),
    "gemma3": ("<bos>", "<eos>", [PLAIN, PARTS], [{}]),
    "phi3": ("<s>", "<|endoftext|>", [PLAIN], [{}]),
    "phi4": ("<|endoftext|>", "<|im_end|>", [PLAIN], [{}]),
    "deepseek": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", [PLAIN, THINKING, TWO_RESULTS], [{}]),
}


def demo_template():
    config = json.loads((HERE.parents[2] / "models/demo/tokenizer_config.json").read_text(encoding="utf-8"))
    return config["chat_template"], config["bos_token"], config["eos_token"]


def outcome(render):
    """The text, or none where the template refuses."""
    try:
        return render()
    except Exception:  # noqa: BLE001: jinja2 raises whatever Python raises
        return None


def family_cases(name, template, bos, eos, groups, extras):
    tokens = {key: token for key, token in (("bos_token", bos), ("eos_token", eos)) if token}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), **tokens)
    tokenizer.chat_template = template
    for group in groups:
        for title, messages in group.items():
            for extra in extras:
                for prompt in (False, True):
                    expected = outcome(lambda: tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt, **extra))
                    yield {"name": f"{title}, {'open' if prompt else 'closed'}", "messages": messages, "extra": extra, "add_generation_prompt": prompt, "expected": expected}


def plain_cases():
    for group, entries in CONSTRUCTS.items():
        for entry in entries:
            template, variables = entry if isinstance(entry, tuple) else (entry, {})
            expected = outcome(lambda: chat_template_utils._compile_jinja_template(template).render(**variables))
            yield {"group": group, "template": template, "extra": variables, "expected": expected}


def write(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    families = {}
    for name, (bos, eos, groups, extras) in FAMILIES.items():
        template = (HERE / f"{name}.jinja").read_text(encoding="utf-8")
        families[name] = {"bos_token": bos or "", "eos_token": eos or "", "cases": list(family_cases(name, template, bos, eos, groups, extras))}
    template, bos, eos = demo_template()
    families["demo"] = {"bos_token": bos or "", "eos_token": eos or "", "cases": list(family_cases("demo", template, bos, eos, [PLAIN], [{}]))}
    write("families.json", {"now": NOW, "families": families})
    write("constructs.json", {"now": NOW, "cases": list(plain_cases())})


if __name__ == "__main__":
    main()
