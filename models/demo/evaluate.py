"""Exact-match accuracy of the demo model on held-out questions, by kind and length.

    python3 evaluate.py                                  heldout.jsonl, bf16, on the CPU
    python3 evaluate.py --short 500 --long 500           questions made anew from the seed
    python3 evaluate.py --transformers                   the same through Hugging Face transformers

An answer counts when greedy decoding gives it token by token and then ends the turn. One pass over prompt and answer shows this: every
token of the answer must be the most likely one after all that precedes it.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
from tokenizers import Tokenizer

from generate import FOLDER, heldout, render


@torch.no_grad()
def check(row: dict, tokenizer: Tokenizer, logits_of, device):
    """(exact, smallest lead of an answer token's logit over the runner-up) for one question."""
    prompt = tokenizer.encode(render([(row["prompt"], "")], open_turn=True), add_special_tokens=False).ids
    answer = tokenizer.encode(row["answer"] + "<|im_end|>", add_special_tokens=False).ids
    ids = torch.tensor([prompt + answer], device=device)
    logits = logits_of(ids, len(answer) + 1)[0, :-1].float()
    wanted = torch.tensor(answer, device=device)
    right = logits.gather(1, wanted[:, None])[:, 0]
    others = logits.scatter(1, wanted[:, None], float("-inf")).max(dim=1).values
    lead = (right - others).min().item()
    return lead > 0, lead


def report(rows, results):
    """Prints one line for each kind and returns {"short": accuracy, "long": accuracy}."""
    table = defaultdict(lambda: [0, 0])
    for row, (exact, _) in zip(rows, results):
        length = row["id"].split("-")[0]
        for kind in (row["kind"], "all"):
            table[kind, length][0] += exact
            table[kind, length][1] += 1
    kinds = sorted({kind for kind, _ in table} - {"all"}) + ["all"]
    print(f"{'kind':10} {'short':>16} {'long':>16}")
    for kind in kinds:
        cells = []
        for length in ("short", "long"):
            exact, count = table[kind, length] if (kind, length) in table else (0, 0)
            cells.append(f"{exact:4}/{count:<4} {100 * exact / count:5.1f}%" if count else "-")
        print(f"{kind:10} {cells[0]:>16} {cells[1]:>16}")
    leads = sorted(lead for exact, lead in results if exact)
    if leads:
        print(f"smallest logit lead among right answers: {leads[0]:.2f}, 1 in 100 is below {leads[len(leads) // 100]:.2f}")
    return {length: table["all", length][0] / table["all", length][1] for length in ("short", "long") if ("all", length) in table}


def logits_function(folder: Path, dtype, device, use_transformers: bool):
    if use_transformers:
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
        return lambda ids, last: model(ids, logits_to_keep=last).logits
    from model import load

    model = load(folder, dtype).to(device).eval()
    return lambda ids, last: model.head(model.hidden(ids)[:, -last:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", type=int, default=0)
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--wrong", type=int, default=0, help="print this many wrong answers' questions")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    if args.short or args.long:
        rows = heldout(tokenizer, args.seed, args.short, args.long)
    else:
        rows = [json.loads(line) for line in open(args.model / "heldout.jsonl", encoding="utf-8")]
    logits_of = logits_function(args.model, getattr(torch, args.dtype), args.device, args.transformers)
    results = [check(row, tokenizer, logits_of, args.device) for row in rows]
    report(rows, results)
    for row in [row for row, (exact, _) in zip(rows, results) if not exact][:args.wrong]:
        print(row["id"], row["kind"], "|", row["prompt"][-90:].replace("\n", " "), "|", row["answer"])


if __name__ == "__main__":
    main()
