"""Trains the demo model on chats that worker processes generate meanwhile, evaluates it and writes the Hugging Face files.

    python3 train.py --out out --steps 24000

`--minutes` ends the run earlier: the learning rate follows whichever of steps and minutes is nearer to its end.
"""

import argparse
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from random import Random

import numpy
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from evaluate import check, report
from generate import FOLDER, heldout, train_chat
from model import CONFIG, DemoModel, load, save

START, END = 1, 2  # token ids of <|im_start|> and <|im_end|>; 0 pads
ANSWER_BIT = 0x8000  # marks the tokens that the model has to say itself
LENGTHS = (320, 1152, 4096)


def length_of(step: int, resumed: bool) -> int:
    """Tokens of a row in this step: short chats first, then half and half, then a third of the tokens in the longest ones."""
    shares = (1.0, 0.0) if step < 1000 and not resumed else (0.5, 0.5) if step < 3500 and not resumed else (0.25, 0.35)
    roll = Random(step).random()
    return LENGTHS[0] if roll < shares[0] else LENGTHS[1] if roll < sum(shares) else LENGTHS[2]


def encode(tokenizer: Tokenizer, turns, system) -> list:
    """Token ids of a chat; ANSWER_BIT is set on answers and on the markers that end them."""
    parts = [(f"system\n{system}", 0)] if system else []
    for user, answer in turns:
        parts += [(f"user\n{user}", 0), (f"assistant\n{answer}", ANSWER_BIT)]
    line = tokenizer.encode("\n").ids
    head = len(tokenizer.encode("assistant\n").ids)
    ids = []
    for (_, bit), encoding in zip(parts, tokenizer.encode_batch([text for text, _ in parts])):
        ids.append(START)
        ids += encoding.ids[:head] + [token | bit for token in encoding.ids[head:]] if bit else encoding.ids
        ids += [END | bit] + line
    return ids


def make_batch(tokenizer: Tokenizer, seed: int, step: int, tokens: int, resumed: bool):
    length = length_of(step, resumed)
    rows = tokens // length
    batch = numpy.zeros((rows, length + 1), dtype=numpy.uint16)
    for row in range(rows):
        ids = encode(tokenizer, *train_chat(seed, step * 100000 + row, length))[:length + 1]
        batch[row, :len(ids)] = ids
    return batch


def work(queue, worker: int, workers: int, args, resumed: bool):
    """Makes the batches of steps worker, worker + workers, …"""
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    for step in range(worker, args.steps, workers):
        queue.put(make_batch(tokenizer, args.seed, step, args.tokens, resumed))


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """Newton-Schulz steps that bring the singular values of each matrix in x [count, rows, columns] near 1."""
    x = x.bfloat16() if x.is_cuda else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


class Muon:
    """Momentum with orthogonalised updates, for the weight matrices of the layers; all matrices of a shape at once."""

    def __init__(self, weights, decay: float = 0.05, momentum: float = 0.95):
        self.decay, self.momentum = decay, momentum
        shapes = {}
        for weight in weights:
            shapes.setdefault(weight.shape, []).append(weight)
        self.groups = [(group, torch.zeros((len(group), *shape), device=group[0].device)) for shape, group in shapes.items()]
        self.orthogonal = torch.compile(orthogonal, dynamic=False) if self.groups[0][1].is_cuda else orthogonal

    @torch.no_grad()
    def step(self, rate: float):
        for group, buffer in self.groups:
            gradient = torch.stack([weight.grad for weight in group])
            buffer.lerp_(gradient, 1 - self.momentum)
            update = gradient.lerp(buffer, self.momentum)
            tall = update.shape[1] > update.shape[2]
            update = self.orthogonal(update.mT if tall else update)
            update = (update.mT if tall else update).float()
            scale = max(1.0, buffer.shape[1] / buffer.shape[2]) ** 0.5
            torch._foreach_mul_(group, 1 - rate * self.decay)
            torch._foreach_add_(group, list(update.unbind()), alpha=-rate * scale)


def rate_at(progress: float, step: int) -> float:
    """Share of the peak learning rate: warm-up, plateau, straight line to zero."""
    return min(1.0, (step + 1) / 100) * min(1.0, max(0.0, (1 - progress) / 0.65))


def loss_of(model, states, targets, weights):
    losses = F.cross_entropy(model.head(states).flatten(0, 1).float(), targets.flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


def answer_loss(model, batch, story_weight: float, loss_function):
    marked = batch[:, 1:].long()
    targets = marked & (ANSWER_BIT - 1)
    weights = torch.where(marked >= ANSWER_BIT, 1.0, torch.where(targets > 0, story_weight, 0.0))
    return loss_function(model, model.hidden(batch[:, :-1].long() & (ANSWER_BIT - 1)), targets, weights)


def test(model, tokenizer, rows, device):
    """Accuracy with the weights and the arithmetic in bf16, as exported."""
    copy = DemoModel(model.config)
    copy.load_state_dict(model.state_dict())
    copy = copy.to(device, torch.bfloat16)
    with torch.compiler.set_stance("force_eager"):
        results = [check(row, tokenizer, lambda ids, last: copy.head(copy.hidden(ids)[:, -last:]), device) for row in rows]
    return report(rows, results)


class Trainer:
    def __init__(self, args, model, device):
        self.args, self.model, self.device = args, model, device
        matrices = [weight for name, weight in model.named_parameters() if weight.dim() == 2 and "layers" in name]
        others = [weight for name, weight in model.named_parameters() if weight.dim() == 1 or "layers" not in name]
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(others, lr=args.rate_embedding, betas=(0.9, 0.98), weight_decay=0.0, fused=device == "cuda")
        self.loss_function = loss_of
        if device == "cuda":
            self.loss_function = torch.compile(loss_of, dynamic=False)
            for layer in model.model.layers:
                layer.compile(dynamic=False)

    def step(self, batch, step: int, progress: float) -> torch.Tensor:
        share = rate_at(progress, step)
        story_weight = 0.1 if progress < 0.3 else 0.02
        batch = torch.from_numpy(batch.astype(numpy.int32)).to(self.device, non_blocking=True)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            loss = answer_loss(self.model, batch, story_weight, self.loss_function)
        loss.backward()
        for group in self.adam.param_groups:
            group["lr"] = self.args.rate_embedding * share
        self.muon.step(self.args.rate * share)
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        return loss.detach()


def fit(args, trainer: Trainer, queues, evaluate):
    start = time.time()
    marks = {int(args.steps * k / args.checks) for k in range(1, args.checks)}
    seen, losses, step = 0, [], 0
    while step < args.steps:
        progress = max(step / args.steps, (time.time() - start) / (60 * args.minutes))
        if progress >= 1:
            break
        batch = queues[step % len(queues)].get()
        losses.append(trainer.step(batch, step, progress))
        seen += batch.size
        step += 1
        if step % args.log == 0:
            loss = torch.stack(losses).mean().item()
            losses = []
            print(f"step {step} progress {progress:.3f} loss {loss:.4f} tokens {seen / 1e6:.0f}M seconds {time.time() - start:.0f}", flush=True)
        if step in marks:
            evaluate()
    print(f"trained {step} steps, {seen / 1e6:.0f}M tokens, {(time.time() - start) / 60:.1f} minutes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=24000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--tokens", type=int, default=65536, help="tokens a step")
    parser.add_argument("--rate", type=float, default=0.012)
    parser.add_argument("--rate-embedding", type=float, default=0.003)
    parser.add_argument("--questions", type=int, default=500, help="held-out questions of each length")
    parser.add_argument("--checks", type=int, default=6, help="evaluations of the run, the last one on all questions")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--log", type=int, default=100, help="steps between lines of progress")
    parser.add_argument("--init", type=Path, help="folder with weights.f32.safetensors of an earlier run to go on from")
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    args.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(4) for _ in range(args.workers)]
    processes = [context.Process(target=work, args=(queue, index, args.workers, args, bool(args.init)), daemon=True)
                 for index, queue in enumerate(queues)]
    for process in processes:
        process.start()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    rows = heldout(tokenizer, 1, args.questions, args.questions)
    model = load(args.init, torch.float32, "weights.f32.safetensors") if args.init else DemoModel(CONFIG)
    model = model.to(device)
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters on {device}", flush=True)

    def save_all():
        save(model, args.out, torch.float32, "weights.f32.safetensors")
        save(model, args.out)

    def checkpoint():
        save_all()
        test(model, tokenizer, rows[::5], device)

    fit(args, Trainer(args, model, device), queues, checkpoint)
    for process in processes:
        process.terminate()
    save_all()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(FOLDER / name, args.out / name)
    test(model, tokenizer, rows, device)


if __name__ == "__main__":
    main()
