"""Rounds in which the peers take turns: burst (a few milliseconds of work after a pause) and sustained (replays back to back)."""

import gc
import statistics
import time
from dataclasses import dataclass

from inputs import worst_error
from workload import kv_bytes

TOLERANCE = 1e-2  # relative error of a row; two roundings to bf16 and sums of many terms stay below half of it


@dataclass(frozen=True)
class Timing:
    """How long things run, in seconds."""

    rounds: int = 5
    burst_s: float = 4e-3
    idle_s: float = 0.1
    warm_s: float = 0.03  # untimed work before each sustained sample
    sustained_s: float = 0.06


SMALL_BYTES = 250e6  # decodes that read less are not measured in bursts: launching costs too large a part of one


class Contestant:
    """One peer's recording of one batch, checked, with the samples taken so far (microseconds a layer)."""

    def __init__(self, peer, bound, timing, synchronize):
        self.peer, self.bound, self.timing, self.synchronize = peer, bound, timing, synchronize
        self.recording = bound.record(list(range(bound.inputs.num_layers)))
        self.burst_recording = None
        self.samples = {"burst": [], "sustained": []}
        self.skips_burst = bound.inputs.batch.kind == "decode" and kv_bytes(bound.inputs.problem, bound.inputs.batch) < SMALL_BYTES
        self.error = self._check()
        self._choose_lengths()

    def _check(self):
        for output in self.recording.outputs.values():
            output.fill_(float("nan"))
        self.synchronize()
        self.recording.time_us(1)
        self.synchronize()
        return max((worst_error(self.bound.inputs, layer, self.recording.rows(layer)) for layer in self.recording.outputs), default=0.0)

    @property
    def is_right(self):
        return self.error <= TOLERANCE

    def _choose_lengths(self):
        t = self.timing
        replay_s = min(self.recording.time_us(1) for _ in range(2)) / 1e6
        self.warm_replays, self.replays = (max(1, round(seconds / replay_s)) for seconds in (t.warm_s, t.sustained_s))
        self.burst_recording, self.burst_replays = self.recording, max(1, int(t.burst_s / replay_s))
        layers = max(1, int(t.burst_s / replay_s * self.recording.num_layers))
        if layers < self.recording.num_layers:
            self.burst_recording = self.bound.record(list(range(layers)))
            self.burst_recording.time_us(1)

    def take_burst(self):
        if self.skips_burst:
            return
        self.synchronize()
        time.sleep(self.timing.idle_s)
        us = self.burst_recording.time_us(self.burst_replays)
        self.samples["burst"].append(us / self.burst_replays / self.burst_recording.num_layers)

    def take_sustained(self):
        self.recording.time_us(self.warm_replays)
        self.samples["sustained"].append(self.recording.time_us(self.replays) / self.replays / self.recording.num_layers)

    def result(self):
        return {"peer": self.peer.name, "error": self.error, "layers": self.recording.num_layers,
                **{f"{kind}_us": statistics.median(values) for kind, values in self.samples.items() if values},
                **{f"{kind}_samples_us": values for kind, values in self.samples.items() if values}}

    def close(self):
        for recording in (self.recording, self.burst_recording):
            if recording is not None:
                recording.close()
        self.bound.close()


class ContextLost(Exception):
    """A peer broke the process's GPU context: nothing more can be measured in this process."""

    def __init__(self, peer_name, reason):
        super().__init__(f"{peer_name} broke the GPU context: {reason}")
        self.peer_name, self.reason = peer_name, reason


def _words(error):
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _synchronize_for(peer, synchronize):
    try:
        synchronize()
    except Exception as error:
        raise ContextLost(peer.name, _words(error)) from None


def _join(peer, inputs, timing, synchronize):
    """(Contestant or None, reason why not)"""
    bound = None
    try:
        bound = peer.bind(inputs)
        contestant = Contestant(peer, bound, timing, synchronize)
    except Exception as error:  # one peer's failure is a line of the report
        _synchronize_for(peer, synchronize)
        if bound is not None:
            bound.close()
        return None, _words(error)
    if not contestant.is_right:
        contestant.close()
        return None, f"wrong: relative error {contestant.error:.3g} is above {TOLERANCE}"
    return contestant, ""


def _run_rounds(contestants, rounds, progress, title):
    for i in range(rounds):
        progress.step(f"{title}: round {i + 1} of {rounds}")
        for take in (Contestant.take_burst, Contestant.take_sustained):
            for contestant in contestants:
                try:
                    take(contestant)
                except Exception as error:
                    raise ContextLost(contestant.peer.name, _words(error)) from None


def measure(peers, inputs, timing, synchronize, progress):
    """(results of one batch, {peer: reason} of those that could not take part, names of those that failed). Throws ContextLost."""
    batch, contestants, reasons, failed = inputs.batch, [], {}, []
    for peer in peers:
        reason = peer.why_not(inputs.problem, batch)
        if reason:
            reasons[peer.name] = reason
            continue
        progress.step(f"{batch.spec}: {peer.name} is prepared and checked")
        contestant, reason = _join(peer, inputs, timing, synchronize)
        if contestant is None:
            reasons[peer.name] = reason
            failed.append(peer.name)
        else:
            contestants.append(contestant)
    _run_rounds(contestants, timing.rounds, progress, batch.spec)
    results = [contestant.result() for contestant in contestants]
    for contestant in contestants:
        contestant.close()
    del contestants
    gc.collect()
    return results, reasons, failed
