"""Tables of a run, from the JSON file that bench.py writes."""

KINDS = {"decode": ("Decode", "GB/s", "gbps"), "prefill": ("Prefill and extend", "TFLOP/s", "tflops"), "mixed": ("Mixed", "TFLOP/s", "tflops")}
MODES = {"sustained": "replays back to back", "burst": "a few milliseconds of work after a pause"}
CEILING = "plain read"
OURS = "quire"


def peer_names(batches):
    """All that have a result in one of the batches, in the order of the first that has most of them."""
    names = []
    for batch in batches:
        names += [r["peer"] for r in batch["results"] if r["peer"] not in names]
    return [name for name in names if name != CEILING] + [name for name in names if name == CEILING]


def rate(batch, us, unit_key):
    return batch["kv_bytes"] / us / 1e3 if unit_key == "gbps" else batch["flops"] / us / 1e6


def number(us):
    return f"{us:.1f}" if us < 1000 else f"{us:.0f}"


def times_of(batch, mode):
    """{peer: microseconds a layer}"""
    return {r["peer"]: r[f"{mode}_us"] for r in batch["results"] if r.get(f"{mode}_us")}


def verdict(batch, times):
    """Our time over that of the best other paged kernel, and of the best of all others."""
    if OURS not in times:
        return ["–", "–"]
    others = {name: us for name, us in times.items() if name not in (OURS, CEILING)}
    paged = {name: us for name, us in others.items() if name in batch["paged_peers"]}
    cells = []
    for group in (paged, others):
        best = min(group, key=group.get, default=None)
        cells.append("–" if best is None else f"{times[OURS] / group[best]:.2f} ({best})")
    return cells


def kind_table(batches, kind, mode):
    """Markdown lines of one table, without its heading; none if there is nothing to show."""
    unit_key = KINDS[kind][2]
    rows = [(batch, times_of(batch, mode)) for batch in batches if batch["kind"] == kind]
    rows = [(batch, times) for batch, times in rows if times]
    if not rows:
        return []
    names = [name for name in peer_names([batch for batch, _ in rows]) if any(name in times for _, times in rows)]
    lines = ["| batch | KV MB | " + " | ".join(names) + " | ours / best paged | ours / best |",
             "|---|---|" + "---|" * (len(names) + 2)]
    for batch, times in rows:
        best = min((us for name, us in times.items() if name != CEILING), default=0)
        cells = []
        for name in names:
            us = times.get(name)
            text = "–" if us is None else f"{number(us)} / {rate(batch, us, unit_key):.0f}"
            cells.append(f"**{text}**" if us == best else text)
        lines.append(f"| `{batch['spec']}` | {batch['kv_bytes'] / 1e6:.1f} | " + " | ".join(cells + verdict(batch, times)) + " |")
    return lines


def reason_lines(run):
    """Why peers are missing, each reason once with the batches that it stands for."""
    lines = [f"- {name}: {reason}" for name, reason in run["absent"].items()]
    by_reason = {}
    for batch in run["batches"]:
        for name, reason in batch["reasons"].items():
            by_reason.setdefault((name, reason), []).append(f"`{batch['spec']}`")
    for (name, reason), specs in sorted(by_reason.items()):
        lines.append(f"- {name}: {reason} ({', '.join(specs)})")
    return lines


def markdown(run):
    p = run["problem"]
    features = (f", window {p['window']}" if p["window"] else "") + (", sinks" if p["has_sinks"] else "")
    lines = [f"# Attention side by side on {run['machine']['gpu']}", "",
             f"{p['num_qo_heads']} query heads, {p['num_kv_heads']} KV heads, head size {p['head_dim']}, {p['dtype']}, pages of {p['page_size']}"
             f"{features}. Microseconds a layer, then GB/s of keys and values or TFLOP/s (causal work counted as half); median of the "
             "rounds. Bold: the fastest.", ""]
    if run["ceilings"]:
        c = run["ceilings"]
        lines += [f"Ceilings of this run: read {c['read_gbps']:.0f} GB/s, copy {c['copy_gbps']:.0f} GB/s (read + written), bf16 matrix product "
                  f"{c['matrix_burst_tflops']:.0f} TFLOP/s in bursts, {c['matrix_sustained_tflops']:.0f} back to back.", ""]
    for kind, (title, unit, _) in KINDS.items():
        for mode, words in MODES.items():
            table = kind_table(run["batches"], kind, mode)
            if table:
                lines += [f"## {title}, {mode} ({words}), us / {unit}", "", *table, ""]
    reasons = reason_lines(run)
    if reasons:
        lines += ["## Not measured", "", *reasons, ""]
    errors = [r["error"] for batch in run["batches"] for r in batch["results"]]
    versions = ", ".join(f"{name}: {text}" for name, text in run["versions"].items() if text)
    lines += ["## Run", "", f"Worst relative error of a checked row against float64: {max(errors, default=0):.2g}.", "",
              f"{run['machine']['software']}. {versions}.", ""]
    return "\n".join(lines)


def one_line(batch):
    """A batch's results for the progress log, fastest first."""
    mode = "sustained"
    times = sorted(times_of(batch, mode).items(), key=lambda item: item[1])
    return f"{batch['spec']:>14}  " + "  ".join(f"{name} {number(us)}" for name, us in times)
