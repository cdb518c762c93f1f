"""The table for people and the lines for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.bench.rca.measure import Outcome, calibration_error, interval
from tests.bench.rca.run import OURS, Results

Line = dict[str, str | int | float]
ORDER = (OURS, "random", "loudest_metric", "n_sigma", "median_iqr", "deepest_elevated")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _groups(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    groups = {"all": outcomes}
    for outcome in sorted(outcomes, key=lambda o: o.fault):
        groups.setdefault(outcome.fault, []).append(outcome)
    return groups


def table(results: Results, seed: int) -> None:
    """Print a set's results, all methods side by side."""
    print(
        f"\n{results.set}\n{'method':<18}{'onset':<10}{'fault':<34}{'n':>4}  "
        f"{'AC@1 [95 %]':<21}{'AC@3 [95 %]':<21}Avg@5"
    )
    for method in ORDER:
        for onset in ("given", "detected"):
            outcomes = results.outcomes.get((method, onset), [])
            groups = _groups(outcomes) if method == OURS else {"all": outcomes}
            for fault, group in groups.items():
                if group:
                    _row(method, onset, fault, group, seed)
    _checks(results)


def _row(method: str, onset: str, fault: str, group: list[Outcome], seed: int) -> None:
    cells = []
    for k in (1, 3):
        values = [o.within(k) for o in group]
        low, high = interval(values, seed)
        cells.append(f"{_mean(values):.3f} [{low:.2f}, {high:.2f}]")
    avg5 = _mean([o.avg5 for o in group])
    print(f"{method:<18}{onset:<10}{fault:<34}{len(group):>4}  {cells[0]:<21}{cells[1]:<21}{avg5:.3f}")


def _checks(results: Results) -> None:
    shifts = "  ".join(f"{shift:+d}: {_mean([o.within(1) for o in found]):.3f}"
                       for shift, found in results.shifted.items())  # fmt: skip
    if shifts:
        print(f"AC@1 with the alert dated wrongly, minutes: {shifts}")
    named = sum(o.named for o in results.quiet)
    print(f"fault-free windows: {named} of {len(results.quiet)} name a cause")
    _overlays(results)
    ours = results.outcomes.get((OURS, "detected"), [])
    print(f"cause named in {sum(o.named for o in ours)} of {len(ours)} outages, "
          f"rightly in {sum(o.named * o.within(1) for o in ours):.0f}; "
          f"expected calibration error {calibration_error(ours):.3f}, "
          f"quiet windows included {calibration_error([*ours, *results.quiet]):.3f}")  # fmt: skip


def _overlays(results: Results) -> None:
    for line in _overlay_lines(results):
        print(f"deploys put over the outages, {line['overlay']}: {line['method']} names the guilty one in "
              f"{line['deploy_named']:.3f}, an innocent one in {line['innocent_named']:.3f}, AC@1 {line['ac1']:.3f}, "
              f"of {line['cases']}")  # fmt: skip
    if results.quiet_overlaid:
        named = sum(o.named for o in results.quiet_overlaid)
        print(f"fault-free windows with deploys put over them: {named} of {len(results.quiet_overlaid)} name a cause")


def _overlay_lines(results: Results) -> Iterator[Line]:
    for (method, kind), found in results.overlaid.items():
        yield {
            "set": results.set, "method": method, "overlay": kind, "cases": len(found),
            "deploy_named": round(_mean([v.guilty for v in found]), 4),
            "innocent_named": round(_mean([v.innocent for v in found]), 4),
            "ac1": round(_mean([v.right for v in found]), 4),
        }  # fmt: skip


def lines(all_results: list[Results]) -> Iterator[Line]:
    """Yield one line per row of the tables, and one per check."""
    for results in all_results:
        for (method, onset), outcomes in results.outcomes.items():
            for fault, group in _groups(outcomes).items():
                if group:
                    yield {
                        "set": results.set, "method": method, "onset": onset, "fault": fault, "cases": len(group),
                        "ac1": round(_mean([o.within(1) for o in group]), 4),
                        "ac3": round(_mean([o.within(3) for o in group]), 4),
                        "avg5": round(_mean([o.avg5 for o in group]), 4),
                    }  # fmt: skip
        for shift, found in results.shifted.items():
            yield {"set": results.set, "check": "onset_shift", "minutes": shift, "cases": len(found),
                   "ac1": round(_mean([o.within(1) for o in found]), 4)}  # fmt: skip
        yield {"set": results.set, "check": "false_alarms", "cases": len(results.quiet),
               "named": sum(o.named for o in results.quiet)}  # fmt: skip
        yield from _overlay_lines(results)
        if results.quiet_overlaid:
            yield {"set": results.set, "check": "false_alarms_with_deploys", "cases": len(results.quiet_overlaid),
                   "named": sum(o.named for o in results.quiet_overlaid)}  # fmt: skip
    judged = [o for r in all_results for o in r.outcomes.get((OURS, "detected"), [])]
    if judged:
        yield {"set": "all", "check": "calibration", "cases": len(judged), "ece": round(calibration_error(judged), 4)}
