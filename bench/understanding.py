"""How well and how quickly messages are understood: `python -m bench.understanding [--data FILE] [--json]`.

Scores of the sets in `data/messages`, or of a file with the same columns, with 95 % intervals; how far the two
readers of a set agree; texts a second on one core, memory before and after the model is loaded.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import psutil

from bench import messages

BARS = {
    "needs_answer recall": 0.95,
    "needs_answer precision": 0.80,
    "group in three": 0.80,
    "urgency recall": 0.95,
    "urgency precision": 0.60,
    "municipality precision": 0.95,
    "municipality recall": 0.85,
}
TEXTS_A_SECOND = 1_000
_READ_TWICE = ("needs_answer", "type", "group", "urgency", "municipality", "language")
_MEGABYTE = 1024 * 1024


def _scores(path: Path) -> bool:
    rows = messages.read(path)
    found = messages.scores(rows, messages.understood(rows))
    print(f"{path.stem}: {len(rows)} messages")
    for name, share in found.items():
        bar = BARS.get(name)
        verdict = "" if bar is None else f"  (bar {bar}: {'ok' if share.value >= bar else 'BELOW'})"
        print(f"  {name:26} {share}{verdict}")
    second = path.parent / "readings" / path.name
    if second.exists():
        readings = messages.read(second)
        for column in _READ_TWICE:
            equal, kappa = messages.agreement(rows, readings, column)
            print(f"  readers agree on {column:14} {equal:.3f}, kappa {kappa:.3f}")
    return all(found[name].value >= bar for name, bar in BARS.items())


def _speed(memory_before: float) -> tuple[float, float]:
    """Texts a second once words are known, in portions as the service reads; and memory in megabytes."""
    from services.appeals.understanding.examples import examples  # noqa: PLC0415 — after memory was measured
    from services.appeals.understanding.places.finding import find_place  # noqa: PLC0415
    from services.appeals.understanding.understand import Understanding  # noqa: PLC0415
    from shared.masking import mask  # noqa: PLC0415

    model = Understanding.load()
    items = [(example.text, example.context) for example in examples()]
    model.judge(items)
    fresh = [(f"{text} Дом {number}", context) for number, (text, context) in enumerate(items)]
    started = time.process_time()
    for start in range(0, len(fresh), 250):
        model.judge(fresh[start : start + 250])
    rate = len(fresh) / (time.process_time() - started)
    memory = psutil.Process().memory_info().rss / _MEGABYTE
    mean = sum(len(text) for text, _ in fresh) / len(fresh)
    print(
        f"speed: {rate:,.0f} texts/s on one core (bar {TEXTS_A_SECOND:,}), {mean:.0f} characters in the mean; "
        f"memory {memory:.0f} MB, {memory - memory_before:.0f} MB of them for the model and the words it has met"
    )
    texts = [text for text, _ in fresh]
    for name, work in (
        ("places", lambda text: find_place(text, page_owner="Администрация города", page_municipality=None)),
        ("masking", mask),
    ):
        started = time.process_time()
        for text in texts:
            work(text)
        print(f"  {name} alone: {len(texts) / (time.process_time() - started):,.0f} texts/s")
    return rate, memory


def main() -> None:
    """Print everything; end with 1 below a bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.understanding")
    parser.add_argument("--data", type=Path, help="a CSV with the columns of data/messages")
    parser.add_argument("--quick", action="store_true", help="the scores alone")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    asked = parser.parse_args()
    before = psutil.Process().memory_info().rss / _MEGABYTE
    paths = [asked.data] if asked.data else sorted(messages.SETS.glob("*.csv"))
    ok = min([_scores(path) for path in paths])
    rate, memory = (0.0, 0.0) if asked.quick else _speed(before)
    ok = ok and (asked.quick or rate >= TEXTS_A_SECOND)
    if asked.json:
        print(json.dumps({"name": "understanding", "ok": ok, "ours": round(rate), "bar": TEXTS_A_SECOND,
                          "unit": "texts/s", "memory_mb": round(memory)}))  # fmt: skip
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    # One core: the linear algebra below numpy would take them all.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, "-m", "bench.understanding", *sys.argv[1:]],
                  {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    main()
