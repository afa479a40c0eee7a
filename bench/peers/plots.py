"""Plots of a run: time over total tokens, a file for each kind of batch, a panel for each family of it; below, the same relative to ours."""

from report import CEILING, KINDS, OURS, peer_names, times_of

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#bcbd22", "#393b79")
MARKERS = "osD^vP<>X*"


def family(batch):
    """The panel that a batch belongs to: batches that grow along one line."""
    if batch["kind"] == "decode":
        return f"{batch['num_seqs']} request{'s' if batch['num_seqs'] > 1 else ''}"
    if batch["kind"] == "mixed":
        return "decodes and a prefill"
    if batch["num_tokens"] < batch["total_tokens"]:
        return "extend"
    return "one prefill" if batch["num_seqs"] == 1 else "several prefills"


def panels(batches):
    """{family: batches by total tokens}, in the order of their first batch."""
    found = {}
    for batch in batches:
        found.setdefault(family(batch), []).append(batch)
    return {name: sorted(group, key=lambda b: b["total_tokens"]) for name, group in found.items()}


def style(names):
    """{peer: line style}: ours on top and thick, the ceiling grey and dashed."""
    styles, others = {}, [name for name in names if name not in (OURS, CEILING)]
    for i, name in enumerate(others):
        styles[name] = {"color": COLOURS[1 + i % (len(COLOURS) - 1)], "marker": MARKERS[1 + i % (len(MARKERS) - 1)], "linewidth": 1.3, "markersize": 5}
    styles[OURS] = {"color": COLOURS[0], "marker": MARKERS[0], "linewidth": 2.6, "markersize": 6, "zorder": 5}
    styles[CEILING] = {"color": "#999999", "linestyle": "--", "linewidth": 1.3}
    return styles


def draw_lines(axes, group, styles, value):
    """One line a peer; value(batch, peer) or None."""
    for name in peer_names(group):
        points = [(b["total_tokens"], value(b, name)) for b in group if value(b, name) is not None]
        if points:
            axes.plot(*zip(*points), label=name, **styles[name])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.grid(True, which="both", linewidth=0.4, alpha=0.5)


def draw_panel(upper, lower, title, group, mode, styles):
    specs = {}
    for batch in group:
        specs.setdefault(batch["total_tokens"], []).append(batch["spec"])

    def time_us(batch, name):
        return times_of(batch, mode).get(name)

    def over_ours(batch, name):
        times = times_of(batch, mode)
        return times[name] / times[OURS] if name in times and OURS in times else None

    draw_lines(upper, group, styles, time_us)
    draw_lines(lower, group, styles, over_ours)
    upper.set_title(title, fontsize=10)
    upper.set_xticks(list(specs), [""] * len(specs))
    lower.set_xticks(list(specs), ["\n".join([f"{tokens:,}", *names]) for tokens, names in specs.items()], fontsize=7)
    upper.yaxis.set_major_formatter(lambda us, _: f"{us:,.0f}" if us >= 1 else f"{us:g}")
    low, high = (f(f(line.get_ydata()) for line in lower.lines) if lower.lines else 1 for f in (min, max))
    ticks = [t for t in (0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50) if low / 1.5 <= t <= high * 1.5]
    lower.set_yticks(ticks, [f"{t:g}" for t in ticks])


def draw(run, folder):
    """Writes KIND-MODE.svg files; returns their paths."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "quire"  # the same figures give the same file
    from matplotlib import pyplot
    styles, paths = style(peer_names(run["batches"])), []
    for kind, (title, _, _) in KINDS.items():
        for mode in ("sustained", "burst"):
            groups = panels([b for b in run["batches"] if b["kind"] == kind and times_of(b, mode)])
            if not groups:
                continue
            widths = [1.2 + 0.75 * len(group) for group in groups.values()]
            figure, axes = pyplot.subplots(2, len(groups), figsize=(max(8, 1.8 + sum(widths)), 7), squeeze=False,
                                           width_ratios=widths, height_ratios=(3, 2))
            labels = {}
            for upper, lower, (name, group) in zip(*axes, groups.items()):
                draw_panel(upper, lower, name, group, mode, styles)
                labels |= dict(zip(*reversed(upper.get_legend_handles_labels())))
            axes[0][0].set_ylabel("microseconds a layer")
            axes[1][0].set_ylabel("time / ours")
            figure.supxlabel("total tokens of the batch (sum of sequence lengths), and its name", fontsize=9)
            figure.suptitle(f"{title}, {mode}: {run['machine']['gpu']}", fontsize=11)
            figure.legend(labels.values(), labels.keys(), loc="outside right upper", fontsize=8)
            figure.set_layout_engine("constrained")
            paths.append(folder / f"{kind}-{mode}.svg")
            figure.savefig(paths[-1], metadata={"Date": None})
            pyplot.close(figure)
    return paths
