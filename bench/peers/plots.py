"""Plots of a run: time over total tokens, a file for each kind of batch, a panel for each family of it."""

from report import CEILING, KINDS, OURS, peer_names, times_of

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#bcbd22", "#7f7f7f")
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
        styles[name] = {"color": COLOURS[1 + i % (len(COLOURS) - 2)], "marker": MARKERS[1 + i % (len(MARKERS) - 1)], "linewidth": 1.3, "markersize": 5}
    styles[OURS] = {"color": COLOURS[0], "marker": MARKERS[0], "linewidth": 2.6, "markersize": 6, "zorder": 5}
    styles[CEILING] = {"color": "#999999", "linestyle": "--", "linewidth": 1.3}
    return styles


def draw_panel(axes, title, group, mode, styles):
    specs = {}
    for batch in group:
        specs.setdefault(batch["total_tokens"], []).append(batch["spec"])
    for name in peer_names(group):
        points = [(b["total_tokens"], times_of(b, mode)[name]) for b in group if name in times_of(b, mode)]
        if points:
            axes.plot(*zip(*points), label=name, **styles[name])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(specs), ["\n".join([f"{tokens:,}", *names]) for tokens, names in specs.items()], fontsize=7)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda us, _: f"{us:,.0f}" if us >= 1 else f"{us:g}")
    axes.yaxis.set_minor_formatter(lambda us, _: "")
    axes.set_title(title, fontsize=10)
    axes.grid(True, which="both", linewidth=0.4, alpha=0.5)


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
            figure, axes = pyplot.subplots(1, len(groups), figsize=(max(7, 1.6 + sum(widths)), 5), squeeze=False, width_ratios=widths)
            labels = {}
            for panel, (name, group) in zip(axes[0], groups.items()):
                draw_panel(panel, name, group, mode, styles)
                labels |= dict(zip(*reversed(panel.get_legend_handles_labels())))
            axes[0][0].set_ylabel("microseconds a layer")
            figure.supxlabel("total tokens of the batch (sum of sequence lengths), and its name", fontsize=9)
            figure.suptitle(f"{title}, {mode}: {run['machine']['gpu']}", fontsize=11)
            figure.legend(labels.values(), labels.keys(), loc="outside right upper", fontsize=8)
            figure.set_layout_engine("constrained")
            paths.append(folder / f"{kind}-{mode}.svg")
            figure.savefig(paths[-1], metadata={"Date": None})
            pyplot.close(figure)
    return paths
