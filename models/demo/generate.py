"""Makes chats about small stories. Everything is a pure function of the split ("train" or "heldout"), the seed and an index.

    python3 generate.py --out heldout.jsonl          the published held-out questions (500 short, 100 long)
    python3 generate.py --show 3                     prints some training chats
"""

import argparse
import json
from pathlib import Path
from random import Random

import words as W
from stories import Fact, Story

FOLDER = Path(__file__).resolve().parent
WORDS_PER_TOKEN = 0.91
SHORT_LIMIT = 1000  # tokens of a short held-out prompt, chat markers included
HARD = ("change", "day", "first", "race")  # kinds that training asks for twice as often
LONG_RANGE = (3400, 3600)  # tokens of a long one


def render(turns, system=None, open_turn=False) -> str:
    """The chat template: turns are (user text, answer) pairs; `open_turn` leaves the last answer to the model."""
    text = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    for index, (user, answer) in enumerate(turns):
        text += f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
        if not (open_turn and index == len(turns) - 1):
            text += f"{answer}<|im_end|>\n"
    return text


def worded(rng: Random, forms) -> str:
    """One wording of a question, now and then as a hurried person types it."""
    question = rng.choice(forms)
    roll = rng.random()
    if roll < 0.03:
        question = question.rstrip("?")
    elif roll < 0.06:
        question = question[0].lower() + question[1:]
    elif roll < 0.10:
        question = rng.choice(["Tell me: ", "Please tell me: ", "Now a question: ", "Question: "]) + question
    return question


def next_fact(rng: Random, story: Story, asked: set, oftener=()) -> Fact | None:
    """A fact not asked before; all kinds are equally likely, but those in `oftener` twice as much."""
    kinds = {}
    for fact in story.facts:
        if fact.answer not in asked:
            kinds.setdefault(fact.kind, []).append(fact)
    names = sorted(kinds) + [kind for kind in oftener if kind in kinds]
    return rng.choice(kinds[rng.choice(names)]) if kinds else None


def question_turn(rng: Random, story: Story, asked: set):
    """(user text, answer) of one question about the story, or None when nothing is left to ask."""
    roll = rng.random()
    if roll < 0.05:
        fact = story.untold()
        return worded(rng, fact.forms), fact.answer
    if roll < 0.11 and story.things:
        sentence, fact = story.update()
        asked.add(fact.answer)
        return sentence + rng.choice([" ", "\n", "\n\n"]) + worded(rng, fact.forms), fact.answer
    fact = next_fact(rng, story, asked, HARD)
    if fact is None:
        return None
    asked.add(fact.answer)
    return worded(rng, fact.forms), fact.answer


def punctuated(rng: Random, text: str) -> str:
    if text[-1] in ".?":
        return text
    return text + rng.choice(["", "!", ".", "?"] if text[:4] in ("How ", "What", "Who ", "Are ", "Is a", "Can ") else ["", "!", "."])


def small_talk(rng: Random):
    """(user text, answer) of a message without a story."""
    roll = rng.random()
    if roll < 0.35:
        return punctuated(rng, rng.choice(W.GREETINGS)), W.HELLO
    if roll < 0.45:
        return punctuated(rng, rng.choice(W.THANKS)), W.WELCOME
    if roll < 0.55:
        return punctuated(rng, rng.choice(W.FAREWELLS)), W.GOODBYE
    if roll < 0.70:
        first, second = rng.randrange(11), rng.randrange(11)
        if rng.random() < 0.5:
            return f"What is {first} + {second}?", f"{first} + {second} is {first + second}."
        total = f"{W.NUMBERS[first]} plus {W.NUMBERS[second]}"
        return f"What is {total}?", f"{total[0].upper()}{total[1:]} is {W.NUMBERS[first + second]}."
    if roll < 0.85:
        return rng.choice(W.OFF_TOPIC).format(o=rng.choice(W.TOPICS)), W.NO_STORY
    story = Story(rng, False, 40)
    fact = story.untold() if not story.facts or rng.random() < 0.3 else rng.choice(story.facts)
    return worded(rng, fact.forms), W.NO_STORY


def story_chat(rng: Random, story_tokens: int, limit: int):
    """Turns about one story of about `story_tokens` that stay near `limit` tokens in all."""
    turns = []
    if rng.random() < 0.04:
        turns.append((punctuated(rng, rng.choice(W.GREETINGS)), W.HELLO))
    story = Story(rng, False, int(story_tokens * WORDS_PER_TOKEN))
    text = story.text()
    told_alone = rng.random() < 0.15
    if told_alone:
        turns.append((text, W.TOLD))
    asked = set()
    left = limit - story_tokens - 30
    while left > 0:
        turn = question_turn(rng, story, asked)
        if turn is None:
            break
        if not told_alone and text is not None:
            turn = (text + rng.choice(["\n\n", "\n\n", "\n", " "]) + turn[0], turn[1])
        text = None
        turns.append(turn)
        left -= 34
        if rng.random() < 0.01:
            turns.append((punctuated(rng, rng.choice(W.THANKS)), W.WELCOME))
    return turns


def train_chat(seed: int, index: int, limit: int):
    """(turns, system message or None) of training chat `index`, made to fill about `limit` tokens."""
    rng = Random(f"train/{seed}/{limit}/{index}")
    system = rng.choice(W.SYSTEM) if rng.random() < 0.06 else None
    if limit < 1000:
        if rng.random() < 0.12:
            return [small_talk(rng) for _ in range(1 + rng.randrange(4))], system
        story_tokens = rng.randrange(30, int(limit * 0.75))
    else:
        story_tokens = rng.randrange(int(limit * (0.2 if limit < 2000 else 0.35)), int(limit * 0.9))
    return story_chat(rng, story_tokens, limit), system


def heldout_question(tokenizer, seed: int, index: int, long: bool) -> dict:
    """Held-out question `index`: one story of unseen pairs, one question, the prompt's length in tokens."""
    rng = Random(f"heldout/{seed}/{long}/{index}")
    while True:
        tokens = rng.randrange(*LONG_RANGE) if long else rng.randrange(60, SHORT_LIMIT - 40)
        story = Story(rng, True, int(tokens * WORDS_PER_TOKEN))
        fact = story.untold() if rng.random() < 0.06 else next_fact(rng, story, set())
        if fact is None:
            continue
        prompt = story.text() + rng.choice(["\n\n", "\n", " "]) + rng.choice(fact.forms)
        count = len(tokenizer.encode(render([(prompt, "")], open_turn=True), add_special_tokens=False).ids)
        if LONG_RANGE[0] <= count <= LONG_RANGE[1] if long else count <= SHORT_LIMIT:
            return {"id": f"{'long' if long else 'short'}-{index}", "kind": fact.kind, "num_tokens": count, "prompt": prompt,
                    "answer": fact.answer}


def heldout(tokenizer, seed: int, short: int, long: int) -> list:
    return ([heldout_question(tokenizer, seed, index, False) for index in range(short)] +
            [heldout_question(tokenizer, seed, index, True) for index in range(long)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write held-out questions to this file, one JSON object a line")
    parser.add_argument("--short", type=int, default=500)
    parser.add_argument("--long", type=int, default=100)
    parser.add_argument("--show", type=int, default=0, help="print this many training chats")
    parser.add_argument("--limit", type=int, default=512, help="tokens of a shown chat")
    args = parser.parse_args()
    for index in range(args.show):
        turns, system = train_chat(args.seed, index, args.limit)
        print(render(turns, system), end="\n---\n")
    if args.out:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        with open(args.out, "w", encoding="utf-8") as file:
            for row in heldout(tokenizer, args.seed, args.short, args.long):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
