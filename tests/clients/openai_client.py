"""What applications do with the openai package: completions, chat, streams with usage, errors, and retries on 429."""

import sys
import threading
import urllib.request
from pathlib import Path

import openai

URL, KEY = sys.argv[1:3]
DEMO = Path(__file__).resolve().parents[2] / "models/demo"
QUESTION = (DEMO / "example_question.txt").read_text(encoding="utf-8").strip()
ANSWER = (DEMO / "example_answer.txt").read_text(encoding="utf-8").strip()
MESSAGES = [{"role": "user", "content": QUESTION}]


def check(condition, what):
    if not condition:
        sys.exit(f"openai_client: FAILED: {what}")
    print(f"openai_client: {what}")


def expect_error(kind, call):
    try:
        call()
    except kind as error:
        return error
    return None


def main():
    client = openai.OpenAI(base_url=URL, api_key=KEY)
    check([model.id for model in client.models.list()] == ["demo"], "models")

    chat = client.chat.completions.create(model="demo", messages=MESSAGES, temperature=0)
    check(chat.choices[0].message.content == ANSWER and chat.choices[0].finish_reason == "stop", "chat")
    check(chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens, "usage")

    chunks = list(client.chat.completions.create(model="demo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    check(text == ANSWER, "chat stream")
    check(chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == chat.usage.completion_tokens, "usage of a stream")

    several = client.chat.completions.create(model="demo", messages=MESSAGES, n=3, temperature=1.0, seed=4, max_tokens=5, logprobs=True, top_logprobs=2)
    check([choice.index for choice in several.choices] == [0, 1, 2], "n")
    check(all(len(choice.logprobs.content[0].top_logprobs) == 2 for choice in several.choices), "logprobs")

    completion = client.completions.create(model="demo", prompt="Anna put the key", max_tokens=5, extra_body={"ignore_eos": True}, logprobs=1)
    check(completion.usage.completion_tokens == 5 and len(completion.choices[0].logprobs.tokens) == 5, "completion")
    streamed = client.completions.create(model="demo", prompt="Anna put the key", max_tokens=5, extra_body={"ignore_eos": True}, stream=True)
    check("".join(chunk.choices[0].text for chunk in streamed) == completion.choices[0].text, "completion stream")
    stop = client.chat.completions.create(model="demo", messages=MESSAGES, stop=[" key"])
    check(stop.choices[0].message.content == ANSWER.split(" key")[0], "stop")

    bad = expect_error(openai.BadRequestError, lambda: client.chat.completions.create(model="demo", messages=MESSAGES, top_p=7))
    check(bad is not None and bad.status_code == 400 and "top_p" in bad.message and bad.param == "top_p", "a bad field is a BadRequestError")
    check(expect_error(openai.NotFoundError, lambda: client.models.retrieve("other")), "an unknown model is a NotFoundError")
    stranger = openai.OpenAI(base_url=URL, api_key="wrong", max_retries=0)
    check(expect_error(openai.AuthenticationError, stranger.models.list), "a wrong key is an AuthenticationError")
    check_what_is_declined(client)
    long = expect_error(openai.BadRequestError, lambda: client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "word " * 20000}]))
    check(long is not None and long.code == "context_length_exceeded" and "maximum context length is" in long.message, "too long a prompt has the code that programs look for")
    hasty = client.with_options(max_retries=0)
    late = expect_error(openai.InternalServerError, lambda: hasty.completions.create(
        model="demo", prompt="x", max_tokens=3000, extra_headers={"X-Request-Timeout": "0.05"}, extra_body={"ignore_eos": True}))
    check(late is not None and late.status_code == 504, "a deadline is an error")
    check_retries(client)


def count_requests(handler):
    """How many requests of an endpoint the server has seen."""
    request = urllib.request.Request(URL.removesuffix("/v1") + "/metrics", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("http_requests_total{") and f'handler="{handler}"' in line)


def check_what_is_declined(client):
    """A 501 is an error at once: a client that may try three times tries once. Tools that are not to be called are no obstacle."""
    tools = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}}]
    chat = "/v1/chat/completions"
    schema = {"type": "json_schema", "json_schema": {"name": "place", "schema": {"type": "object"}}}
    patient = client.with_options(max_retries=5)
    for what, handler, call in (
        ("embeddings", "/v1/embeddings", lambda: patient.embeddings.create(model="demo", input="x")),
        ("responses", "/v1/responses", lambda: patient.responses.create(model="demo", input="x")),
        ("tools", chat, lambda: patient.chat.completions.create(model="demo", messages=MESSAGES, tools=tools)),
        ("tools in a stream", chat, lambda: patient.chat.completions.create(model="demo", messages=MESSAGES, tools=tools, tool_choice="required", stream=True)),
        ("a schema", chat, lambda: patient.chat.completions.create(model="demo", messages=MESSAGES, response_format=schema)),
        ("a suffix", "/v1/completions", lambda: patient.completions.create(model="demo", prompt="x", suffix="y")),
    ):
        before = count_requests(handler)
        error = expect_error(openai.APIStatusError, call)
        check(error is not None and error.status_code == 501, f"{what}: declined")
        check(count_requests(handler) == before + 1, f"{what}: asked once")
    for more in ({}, {"stream": True}):
        answer = client.chat.completions.create(model="demo", messages=MESSAGES, tools=tools, tool_choice="none", temperature=0, **more)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer) if more else answer.choices[0].message.content
        check(text == ANSWER, f"tool_choice none with tools is answered {more}")


def check_retries(client):
    """More calls than the server takes: all of them end well, because the client tries again after a 429."""
    results, refusals = [], []

    def ask(number):
        body = {"model": "demo", "prompt": f"Story {number}", "max_tokens": 60, "extra_body": {"ignore_eos": True}}
        if expect_error(openai.RateLimitError, lambda: client.with_options(max_retries=0).completions.create(**body)):
            refusals.append(number)
            results.append(client.with_options(max_retries=20).completions.create(**body).usage.completion_tokens)
        else:
            results.append(60)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(len(refusals) > 0, f"{len(refusals)} of 40 calls were told 429 at first")
    check(results == [60] * 40, "and all were answered after retries")


if __name__ == "__main__":
    main()
