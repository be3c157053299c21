"""Quality and speed of the classifier: `python -m bench.classification [--data FILE] [--json]`.

Prints the scores on the sets in `data/messages`, or on a file with the same columns, with 95 % intervals; the
agreement of the two annotators of a set; the detection of Buryat, if the reference data exists; texts per second
on one core, and the memory before and after the model is loaded.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bench import labelled_messages
from bench.measure import Result

BARS = {
    "needs_answer recall": 0.95,
    "needs_answer precision": 0.80,
    "group in three": 0.80,
    "urgency recall": 0.95,
    "urgency precision": 0.60,
    "municipality precision": 0.95,
    "municipality recall": 0.85,
}
BURYAT_RECALL = 0.90
BURYAT_FALSE_POSITIVES = 0.005
TEXTS_PER_SECOND = 1_000
# Minimum speed, as a share of the speed of a baseline that predicts only the topic group.
RATIO = 0.1
_BATCH_ROWS = 250
_LABELLED_TWICE = ("needs_answer", "type", "group", "urgency", "municipality", "language")
_MEGABYTE = 1024 * 1024
REFERENCE_DATA = Path(__file__).parents[2] / "shared" / "data"


def _scores(
    title: str, rows: list[labelled_messages.Row], second_labels: Path | None = None
) -> tuple[bool, dict[str, Any]]:
    """Print the scores of a set. Return whether every bar is reached, and the figures."""
    found = labelled_messages.scores(rows, labelled_messages.classify_rows(rows))
    print(f"{title}: {len(rows)} messages")
    for name, share in found.items():
        bar = BARS.get(name)
        result = "" if bar is None else f"  (bar {bar}: {'ok' if share.value >= bar else 'BELOW'})"
        print(f"  {name:27} {share}{result}")
    agreement = {}
    if second_labels is not None and second_labels.exists():
        second = labelled_messages.read(second_labels)
        for column in _LABELLED_TWICE:
            equal, kappa = labelled_messages.agreement(rows, second, column)
            agreement[column] = {"equal": round(equal, 4), "kappa": round(kappa, 4)}
            print(f"  annotators agree on {column:14} {equal:.3f}, kappa {kappa:.3f}")
    return all(found[name].value >= bar for name, bar in BARS.items()), {
        "messages": len(rows),
        "scores": {name: share.figures for name, share in found.items()},
        "agreement": agreement,
    }


def _buryat(reference_data: Path) -> tuple[bool, dict[str, Any] | None]:
    """Print the scores of Buryat detection. Return whether the bars are reached, and the figures if measured."""
    sentences, posts = (
        reference_data / "buryat" / "sentences.txt",
        reference_data / "chatter" / "rusentiment-sample.csv",
    )
    missing = [path.name for path in (sentences, posts) if not path.exists()]
    if missing:
        print(
            f"Buryat: NOT MEASURED, no {' and '.join(missing)} in {reference_data} (--corpus names another folder)"
        )
        return True, None
    recall = labelled_messages.buryat_recall(sentences)
    false_positives = labelled_messages.buryat_false_positives(posts)
    ok = recall.value >= BURYAT_RECALL and false_positives.value <= BURYAT_FALSE_POSITIVES
    result = "ok" if ok else "MISSED"
    print(
        f"Buryat: recall {recall} (bar {BURYAT_RECALL}), "
        f"false positives {false_positives} (bar {BURYAT_FALSE_POSITIVES}): {result}"
    )
    return ok, {"recall": recall.figures, "false": false_positives.figures}


def _speed(memory_before: float, count: int) -> tuple[float, float, float]:
    """Return texts per second of the baseline and our model (batches, warm caches), and memory in megabytes."""
    # Imported late: the memory was measured before these modules were loaded.
    from services.appeals.classification.locations.location_finder import find_location  # noqa: PLC0415
    from services.appeals.classification.model.message_classifier import MessageClassifier  # noqa: PLC0415
    from services.appeals.classification.training.examples import load_examples  # noqa: PLC0415
    from shared.masking import mask  # noqa: PLC0415

    model = MessageClassifier.load()
    items = [(example.text, example.context) for example in load_examples()]
    model.classify(items)
    memory = psutil.Process().memory_info().rss / _MEGABYTE
    new_items = [(f"{text} Дом {number}", context) for number, (text, context) in enumerate(items)][:count]
    texts = [text for text, _ in new_items]
    rates = {
        "classification": _rate(new_items, model.classify),
        "only locations": _rate(
            texts,
            lambda part: [
                find_location(text, page_owner="Администрация", page_municipality=None) for text in part
            ],
        ),
        "only masking": _rate(texts, lambda part: [mask(text) for text in part]),
        "baseline, only topic group": _rate(texts, _train_baseline()),
    }
    for name, rate in rates.items():
        print(f"  {name:26} {rate:,.0f} texts/s on one core")
    print(
        f"  memory {memory:.0f} MB, {memory - memory_before:.0f} MB of them for the model and its caches; "
        f"{sum(map(len, texts)) / len(texts):.0f} characters per text on average"
    )
    return rates["baseline, only topic group"], rates["classification"], memory


def _rate(items: Sequence[Any], work: Callable[[Sequence[Any]], object]) -> float:
    started = time.process_time()
    for start in range(0, len(items), _BATCH_ROWS):
        work(items[start : start + _BATCH_ROWS])
    return len(items) / (time.process_time() - started)


def _train_baseline() -> Callable[[Sequence[str]], object]:
    """Return the baseline for the topic group: TF-IDF of words and n-grams and a linear SVM of scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline, make_union  # noqa: PLC0415
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    from services.appeals.classification.training.examples import load_examples  # noqa: PLC0415

    asking = [example for example in load_examples() if example.needs_answer]
    ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2)
    baseline = make_pipeline(make_union(TfidfVectorizer(min_df=2), ngrams), LinearSVC())
    baseline.fit([example.text for example in asking], [example.group for example in asking])
    predict: Callable[[Sequence[str]], object] = baseline.predict
    return predict


def main() -> None:
    """Print all figures; exit with 1 if the scores on all sets together are below a bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.classification")
    parser.add_argument("--data", type=Path, help="a CSV with the columns of data/messages")
    parser.add_argument("--corpus", type=Path, default=REFERENCE_DATA, help="the folder with buryat/ and chatter/")
    parser.add_argument("--quick", action="store_true", help="measure the speed on few texts")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    args = parser.parse_args()
    before = psutil.Process().memory_info().rss / _MEGABYTE
    paths = [args.data] if args.data else sorted(labelled_messages.MESSAGE_SETS_DIR.glob("*.csv"))
    sets = {path: labelled_messages.read(path) for path in paths}
    results = {
        path.stem: _scores(path.stem, rows, path.parent / "second_annotator" / path.name)
        for path, rows in sets.items()
    }
    # A set has only about fifty urgent messages, so one error changes recall by two percentage points: bars apply
    # to all sets combined.
    everything = [row for rows in sets.values() for row in rows]
    combined = _scores("all sets combined", everything)
    buryat_ok, buryat = _buryat(args.corpus)
    floor, ours, memory = _speed(before, 1_000 if args.quick else 10_000)
    print(f"classification: {ours:,.0f} texts/s (bar {TEXTS_PER_SECOND:,}), {ours / floor:.2f} of the baseline")
    accurate_enough = buryat_ok and combined[0]
    fast_enough = ours >= TEXTS_PER_SECOND
    if args.json:
        result = Result(
            "classification", round(ours / floor, 3), RATIO, accurate_enough and fast_enough, round(floor),
            round(ours), "texts/s", 1,
        )  # fmt: skip
        figures = {name: set_figures for name, (_, set_figures) in results.items()} | {"together": combined[1]}
        more = {"memory_mb": round(memory), "sets": figures}
        print(json.dumps(asdict(result) | more | {"buryat": buryat}, ensure_ascii=False))
    # The speed of a quick run is too noisy; the quality is not.
    sys.exit(0 if accurate_enough and (args.quick or fast_enough) else 1)


if __name__ == "__main__":
    # Use one core: numpy's linear algebra library would use all of them.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, "-m", "bench.classification", *sys.argv[1:]],
                  {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    main()
