"""A model that was trained on the world's text answers as its authors' own software lets it, under every setting."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
MODEL = sys.argv.pop(2)
from serving import CHAT, QUIRE, Server, message_of, text_of  # noqa: E402

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."


def check(condition, what):
    if not condition:
        sys.exit(f"real_weights: FAILED: {what}")
    print(f"real_weights: {what}")


def run(*flags):
    words = [QUIRE, "run", MODEL, "--temperature", "0", "--max-tokens", "24", *flags]
    return subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout.strip()


def main():
    check(run("-p", QUESTION) == ANSWER, ANSWER)
    for flags in (["--page-size", "48"], ["--max-batched-tokens", "7"], ["--batch-invariant", "--threads", "1"], ["--no-prefix-cache"]):
        check(run("-p", QUESTION, *flags) == ANSWER, f"the same with {' '.join(flags)}")
    check("Paris" in run("--raw", "-p", "The capital of France is the city of"), "a text goes on")
    with Server(MODEL, "--served-model-name", "smol") as server:
        answer = server.chat(QUESTION, max_tokens=24)
        check(message_of(answer) == ANSWER and answer["choices"][0]["finish_reason"] == "stop", "served")
        again = server.chat(QUESTION, max_tokens=24)
        check(message_of(again) == ANSWER and again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 32, "from the prefix cache")
        messages = [{"role": "user", "content": QUESTION}]
        check(text_of(server.events(CHAT, {"messages": messages, "temperature": 0, "max_tokens": 24})) == ANSWER, "streamed")
        messages += [{"role": "assistant", "content": ANSWER}, {"role": "user", "content": "And of Italy?"}]
        check("Rome" in message_of(server.post(CHAT, {"messages": messages, "temperature": 0, "max_tokens": 24}).json()), "a second turn")


if __name__ == "__main__":
    main()
