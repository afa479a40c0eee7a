#!/usr/bin/env python3
"""Attention of Quire and of its peers, side by side: the same inputs, one process, taking turns.

Batches are named as in `quire bench attention`: segments joined by _, each [count]q<new tokens>[k][s<sequence length>[k]],
e.g. 32q1s8k (decode), q8k (prefill), 8q512s8704 (extend), 64q1s4k_q2k (mixed)."""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import plots
import report
from progress import Progress
from workload import DEFAULT, Problem, flops, kv_bytes, num_layers, parse_batch

PEERS = {
    "quire": "Quire's attention on its own pages",
    "flash3": "FlashAttention 3, paged (--flash-attention)",
    "flashinfer-fa2": "FlashInfer's mma.sync kernel, paged",
    "flashinfer-fa3": "FlashInfer's Hopper kernel for prefill, paged; decodes of a mixed batch in a launch of their own",
    "flashinfer-cc": "FlashInfer's decode kernel without matrix units, paged",
    "vllm-triton": "vLLM's unified Triton kernel, paged (installed, or --vllm-triton)",
    "cudnn": "torch scaled_dot_product_attention with cuDNN, contiguous",
    "flash2": "torch scaled_dot_product_attention with FlashAttention 2, contiguous",
    "flash3-contiguous": "FlashAttention 3, contiguous (--flash-attention)",
    "flex": "compiled flex_attention, contiguous, prefill and extend",
}
OK, FAILED, USAGE, CONTEXT_LOST = 0, 1, 2, 3


def parse_arguments(args):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batches", nargs="*", metavar="BATCH", help="batches to measure; all that --list names if none is given")
    parser.add_argument("--list", action="store_true", help="print the batches and the peers, and end")
    parser.add_argument("--out", type=Path, default=Path("out/bench/peers"), help="folder of results.json, results.md and plots (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="keep the batches that results.json in --out already has")
    parser.add_argument("--render", type=Path, metavar="JSON", help="write tables and plots of an earlier run, and end")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated names from --list")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a trial of this program on small batches; its times mean nothing")
    parser.add_argument("--library", dest="quire_file", default=str(HERE.parents[1] / "build/peers/libquire_attention.so"), help="made by build_library.sh (default: %(default)s)")
    parser.add_argument("--kernel-cache", default="", metavar="DIR", help="keep Quire's compiled kernels there")
    parser.add_argument("--vllm-triton", default="", metavar="FILE", help="vLLM's triton_unified_attention.py, its helper files beside it")
    parser.add_argument("--flash-attention", default="", metavar="FILE", help="FlashAttention 3 for PyTorch, a .so")
    group = parser.add_argument_group("problem")
    group.add_argument("--heads", default="32/8", metavar="Q/KV", help="query heads / KV heads (default: %(default)s)")
    group.add_argument("--head-dim", type=int, default=128)
    group.add_argument("--page-size", type=int, default=16)
    group.add_argument("--dtype", default="bf16", help="bf16 or f16")
    group.add_argument("--window", type=int, default=0, help="keys that a query sees, itself included; 0 = all")
    group.add_argument("--sinks", action="store_true", help="one more score per head, without a value")
    group = parser.add_argument_group("measuring")
    group.add_argument("--rounds", type=int, default=5)
    group.add_argument("--layers", type=int, default=256, help="at most so many layers take turns")
    group.add_argument("--idle-s", type=float, default=0.1, help="pause before a burst")
    group.add_argument("--sustained-s", type=float, default=0.06, help="length of a sustained sample")
    group.add_argument("--flex-seconds", type=float, default=45, help="no compilation of flex_attention starts after so many seconds of them")
    group.add_argument("--no-ceilings", action="store_true", help="skip what the GPU can do")
    return check_arguments(parser, parser.parse_args(args))


def check_arguments(parser, options):
    """Turns the texts into values; ends with a usage error that shows what is wrong."""
    options.peers = [name for name in options.peers.split(",") if name]
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown or not options.peers:
        parser.error(f"--peers: {', '.join(unknown) or 'nothing'} is none of {', '.join(PEERS)}")
    for name in ("rounds", "layers"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    for name in ("idle_s", "sustained_s", "flex_seconds"):
        if getattr(options, name) < 0:
            parser.error(f"--{name.replace('_', '-')} must not be negative, got {getattr(options, name)}")
    try:
        q, _, kv = options.heads.partition("/")
        options.problem = Problem(int(q), int(kv or q), options.head_dim, options.page_size, options.dtype, options.window, options.sinks)
        options.batches = [parse_batch(spec) for spec in options.batches or DEFAULT]
    except ValueError as error:
        parser.error(str(error))
    return options


def print_list():
    print("Batches:")
    problem = Problem()
    for spec in DEFAULT:
        batch = parse_batch(spec)
        print(f"  {spec:14} {batch.kind:8} {batch.num_seqs:4} requests, {batch.num_tokens:6} new tokens, {kv_bytes(problem, batch) / 1e6:8.1f} MB of keys "
              f"and values, {num_layers(problem, batch):3} layers")
    print("Peers:")
    for name, text in PEERS.items():
        print(f"  {name:18} {text}")


def make_peer(name, options):
    """Throws peer.Unavailable with the reason."""
    if name == "quire":
        from quire_peer import QuirePeer
        return QuirePeer(options.quire_file, options.device, options.kernel_cache)
    if name.startswith("flashinfer"):
        from flashinfer_peers import FlashInferPeer
        return FlashInferPeer(name.removeprefix("flashinfer-"))
    if name.startswith("flash3"):
        from flash_attention_peer import FlashAttentionPeer
        return FlashAttentionPeer(options.flash_attention, name == "flash3")
    if name == "vllm-triton":
        from vllm_peer import VllmPeer
        return VllmPeer(options.vllm_triton)
    from torch_peers import CudnnPeer, FlashPeer, FlexPeer
    if name == "flex":
        return FlexPeer(options.device, options.flex_seconds)
    return {"cudnn": CudnnPeer, "flash2": FlashPeer}[name](options.device)


def make_peers(options, progress):
    """(peers, {name: reason} of those that are absent). Compilations start in the background."""
    peers, absent = [], {}
    from peer import Unavailable
    for name in options.peers:
        try:
            peers.append(make_peer(name, options))
        except (Unavailable, RuntimeError) as error:
            absent[name] = str(error)
            progress.line(f"{name} is absent: {error}")
    for peer in peers:
        peer.start_compiling(options.problem)
    return peers, absent


def machine_facts(options):
    import torch
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else "no GPU (a trial)"
    return {"gpu": gpu, "software": f"torch {torch.__version__}, CUDA {torch.version.cuda}"}


def measure_batch(options, peers, broken, batch, progress):
    """One batch's entry of the report. broken: {peer: reason} of those that must not try it again."""
    import torch
    from inputs import Inputs
    from rounds import Timing, measure
    is_gpu = options.device == "cuda"
    layers = num_layers(options.problem, batch, options.layers)
    inputs = Inputs(options.problem, batch, layers, options.device)
    timing = Timing(rounds=options.rounds, idle_s=options.idle_s, sustained_s=options.sustained_s, warm_s=options.sustained_s / 2)
    sound_peers = [peer for peer in peers if peer.name not in broken]
    results, reasons, failed = measure(sound_peers, inputs, timing, torch.cuda.synchronize if is_gpu else lambda: None, progress)
    del inputs
    if is_gpu:
        torch.cuda.empty_cache()
    return {"spec": batch.spec, "kind": batch.kind, "num_seqs": batch.num_seqs, "num_tokens": batch.num_tokens, "total_tokens": batch.total_tokens,
            "kv_bytes": kv_bytes(options.problem, batch), "flops": flops(options.problem, batch), "results": results, "reasons": reasons | broken,
            "failed": failed + list(broken), "paged_peers": [peer.name for peer in peers if peer.paged]}


def write_outputs(run, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(report.markdown(run), encoding="utf-8")


def render(path, folder):
    """Tables and plots of an earlier run."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"bench.py: {path} cannot be read: {error}", file=sys.stderr)
        return USAGE
    write_outputs(run, folder)
    write_plots(run, folder)
    return OK


def write_plots(run, folder):
    if importlib.util.find_spec("matplotlib") is None:
        print("no plots: matplotlib is not installed", file=sys.stderr)
        return
    for path in plots.draw(run, folder):
        print(path)


def earlier_batches(options):
    """(batches, {spec: {peer: reason}} of peers that broke the GPU context) of the run that is resumed."""
    path = options.out / "results.json"
    if not options.resume or not path.exists():
        return [], {}
    run = json.loads(path.read_text(encoding="utf-8"))
    if run["problem"] != vars(options.problem):
        sys.exit(f"bench.py: {path} is of another problem: {run['problem']}")
    return run["batches"], run["broken"]


def measure_all(options, run, peers, progress):
    done = {batch["spec"] for batch in run["batches"]}
    for batch in options.batches:
        progress.finish_one()
        if batch.spec in done:
            continue
        run["batches"].append(measure_batch(options, peers, run["broken"].get(batch.spec, {}), batch, progress))
        progress.line(report.one_line(run["batches"][-1]))
        for name in run["batches"][-1]["failed"]:
            progress.line(f"{batch.spec}: {name}: {run['batches'][-1]['reasons'][name]}")
        write_outputs(run, options.out)


def prepare(options, progress):
    """(what the report says before any batch, peers that are ready)"""
    import torch
    batches, broken = earlier_batches(options)
    run = {"problem": vars(options.problem), "machine": machine_facts(options), "ceilings": None, "batches": batches, "broken": broken}
    peers, run["absent"] = make_peers(options, progress)
    run["versions"] = {peer.name: peer.version() for peer in peers}
    if options.device == "cuda" and not options.no_ceilings:
        from ceilings import ReadCeiling, measure
        run["ceilings"], reader = measure(options.idle_s)
        torch.cuda.empty_cache()
        progress.line("ceilings: " + ", ".join(f"{k} {v:.0f}" for k, v in run["ceilings"].items() if k != "read_setting"))
        peers.append(ReadCeiling(reader))
    for peer in peers:
        peer.finish_compiling()
    progress.line("ready: " + ", ".join(peer.name for peer in peers))
    return run, peers


def run_all(options):
    import torch
    from rounds import ContextLost
    if options.device == "cuda" and not torch.cuda.is_available():
        print("bench.py: PyTorch sees no GPU; --device cpu tries the program on small batches", file=sys.stderr)
        return USAGE
    progress = Progress(len(options.batches))
    run, peers = prepare(options, progress)
    try:
        measure_all(options, run, peers, progress)
    except ContextLost as error:
        done = {batch["spec"] for batch in run["batches"]}
        spec = next(batch.spec for batch in options.batches if batch.spec not in done)
        run["broken"].setdefault(spec, {})[error.peer_name] = str(error)
        write_outputs(run, options.out)
        print(f"bench.py: {spec}: {error}; the same command with --resume goes on without it", file=sys.stderr)
        return CONTEXT_LOST
    progress.close()
    for peer in peers:
        peer.close()
    write_plots(run, options.out)
    failures = [f"{b['spec']} {name}" for b in run["batches"] for name in b["failed"]]
    print(f"{options.out / 'results.md'}: {len(run['batches'])} batches, {len(failures)} failures")
    return FAILED if any("quire" in b["failed"] for b in run["batches"]) or "quire" in run["absent"] else OK


def main(args):
    options = parse_arguments(args)
    if options.list:
        print_list()
        return OK
    if options.render:
        return render(options.render, options.out)
    code = run_all(options)
    if code == CONTEXT_LOST:  # destructors would call into a GPU that answers no more
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
