"""Says now and then whether a run waits for its data or for its arithmetic."""

import time

import keras


class Throughput(keras.callbacks.Callback):
    """Prints samples per second, and data-bound or compute-bound.

    Logs `samples_per_second` and `input_wait` (share of the time spent waiting for batches) at
    the end of each epoch.

    Args:
        source: object with `waited`, seconds its consumer has waited (`Prefetcher`).
        batch_size: int.
        after: float, seconds to the first report; reports then come at twice the last distance.
        bound: float, share of waiting from which a run counts as data-bound.
        quiet: bool, log but do not print.
    """

    def __init__(self, source, batch_size, after=30.0, bound=0.2, quiet=False):
        super().__init__()
        self.source, self.batch_size = source, batch_size
        self.after, self.bound, self.quiet = after, bound, quiet
        self.started = None

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self.started is None:
            # The first step compiles; it says nothing about speed.
            self.started, self.first_wait, self.steps = now, self.source.waited, 0
            self.next_report = now + self.after
            return
        self.steps += 1
        if now >= self.next_report and not self.quiet:
            self.after *= 2
            self.next_report = now + self.after
            rate, wait = self._measure(now)
            kind = "data-bound" if wait > self.bound else "compute-bound"
            advice = ": more workers= or smaller source videos would help" if wait > 0.2 else ""
            print(
                f"\n{rate:.1f} samples a second, {kind} ({wait:.0%} of the time waiting for "
                f"data{advice})."
            )

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and self.started is not None and self.steps:
            rate, wait = self._measure(time.perf_counter())
            logs["samples_per_second"], logs["input_wait"] = rate, wait

    def _measure(self, now):
        spent = max(now - self.started, 1e-9)
        wait = (self.source.waited - self.first_wait) / spent
        return self.steps * self.batch_size / spent, min(max(wait, 0.0), 1.0)
