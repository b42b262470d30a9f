"""The report in Markdown, CSV and LaTeX."""

import csv
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentence_order.config.commands import unambiguous
from sentence_order.data.files import listed
from sentence_order.data.groups import MAX_SHOWN
from sentence_order.errors import counted, printable
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import format_interval
from sentence_order.experiments.estimates import Comparison, Difference
from sentence_order.experiments.runs import COSTS, Run, find_differing, short_key

# The columns of metrics and costs: their heads, and the digits that they are printed with.
COLUMNS = {
    "tau": ("tau", 3),
    "pmr": ("PMR", 3),
    "accuracy": ("accuracy", 3),
    "seconds_in_steps": ("training, s", 0),
    "documents_per_second": ("documents/s", 0),
    "peak_memory_gb": ("memory, GB", 2),
}
HEADS = ["arm", "seeds", *(head for head, _ in COLUMNS.values())]
CAPTIONS = {
    "tau_against_time.png": "Kendall's tau on the test documents against training time, by arm",
    "tau_against_parameters.png": "Kendall's tau on the test documents against the size of the model, by arm",
    "quality_by_depth.png": "quality and training time by what is frozen",
    "learning_curves.png": "tau on the validation documents in the course of training",
}
MAX_KEYS = 3  # in the title
# In every report.
COMMAND = "python -m sentence_order.report"
METHOD = """\
Each value is the mean over an arm's seeds, with its 95 % interval. That of a metric allows for other test documents and
for other seeds (what they change is pooled over all arms); that of a time, a speed or a size, for another run. Training
counts the steps alone; validation, checkpoints and filling the prefix cache are left out. A difference is paired,
document by document; p is two-sided, and corrected for the number of arms (Holm)."""


def as_markdown(found: Comparison, sentences: Sequence[str], files: Sequence[str], paths: Sequence[Path]) -> str:
    """The whole report, with the sentences of the verdict, and the pictures that are among the files; `paths` are those
    that were given."""
    lines = [f"# {_escape_markdown(_title(found))}", "", _escape_markdown(_describe_runs(found)), ""]
    for sentence in sentences:
        lines += [_escape_verdict(sentence), ""]

    lines += _table([*HEADS, "parameters", "trained parameters"], _value_rows(found))
    if found.others:
        metrics = [key for key in COLUMNS if key in MAIN_METRICS]
        heads = ["arm", *(f"{COLUMNS[metric][0]} (95 %), p" for metric in metrics), "training time"]
        rows = []
        for row in found.others:
            cells = [_difference_cell(row.difference[metric]) for metric in metrics]
            rows.append([row.arm.name, *cells, f"{row.seconds / found.baseline.seconds:.2f} times"])
        lines += [f"Differences from **{_escape_markdown(found.baseline.arm.name)}**:", "", *_table(heads, rows)]
    if groups := list(found.groups)[:MAX_SHOWN]:
        heads = ["arm", *(f"{key} ({found.groups[key]:,})" for key in groups)]
        rows = [[row.arm.name, *(format_interval(row.values[key]) for key in groups)] for row in found.rows]
        more = f", the {len(groups)} largest of {len(found.groups)}" if len(groups) < len(found.groups) else ""
        lines += [f"By group of documents{more}:", "", *_table(heads, rows)]

    lines += [METHOD, ""]
    lines += [line for file, shown in CAPTIONS.items() if file in files for line in (f"![{shown}]({file})", "")]

    lines += ["## Runs", ""]
    for row in found.rows:
        runs = ", ".join(f"`{run.folder.name}` (seed {run.settings['seed']})" for run in row.arm.runs)
        filled = f"; the prefix cache took {row.cache_seconds:,.0f} s to fill, once" if row.cache_seconds >= 1 else ""
        in_full = row.arm.name_in_full if row.arm.name_in_full != row.arm.name else ""
        of = f" ({_escape_markdown(in_full)})" if in_full else ""
        lines.append(f"- {_escape_markdown(row.arm.name)}{of}: {runs}{filled}")
    lines += ["", f"{counted(found.documents, 'test document')}. The same report, from these runs:", ""]
    return "\n".join([*lines, *_command(paths)])


def list_reports(verdicts: Mapping[str, Sequence[str]], left_out: Sequence[str], paths: Sequence[Path]) -> str:
    """The page that leads to the reports on several corpora, by the names of their folders."""
    lines = [f"# Reports on {len(verdicts)} corpora", "", "Runs with different test documents are not compared.", ""]
    for name, sentences in verdicts.items():
        lines += [f"## [{_escape_markdown(name)}]({name}/report.md)", ""]
        for sentence in sentences:
            lines += [_escape_verdict(sentence), ""]
    for sentence in left_out:
        lines += [_escape_verdict(sentence), ""]
    return "\n".join([*lines, "The same reports, from these runs:", "", *_command(paths)])


def as_csv(found: Comparison) -> str:
    """A line per arm, with all numbers in full."""
    records = []
    for row in found.rows:
        record: dict[str, object] = {"arm": row.arm.name, "seeds": len(row.arm.runs)}
        for key in (*MAIN_METRICS, *found.groups, *COSTS):
            value = row.values[key]
            record |= {key: value["value"], f"{key}_low": value["low"], f"{key}_high": value["high"]}
        record |= {"parameters": row.parameters, "parameters_trained": row.parameters_trained}
        record["seconds_in_cache"] = row.cache_seconds
        for metric in MAIN_METRICS:
            change = row.difference.get(metric)
            for part, ending in (("value", ""), ("low", "_low"), ("high", "_high"), ("p", "_p")):
                record[f"{metric}_difference{ending}"] = getattr(change, part, None)
        records.append(record)
    text = io.StringIO()
    table = csv.DictWriter(text, records[0], lineterminator="\n")
    table.writeheader()
    table.writerows(records)
    return text.getvalue()


def as_latex(found: Comparison) -> str:
    """A table of the main figures, for `booktabs`."""
    rows = [[*HEADS, "parameters", "trained"]]
    for name, *cells in _value_rows(found):
        small = [_escape_latex(cell).replace(" (", r" {\footnotesize(").replace(")", ")}") for cell in cells]
        rows.append([_escape_latex(name), *small])
    lines = [rf"{' & '.join(row)} \\" for row in rows]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(HEADS) + 1)}}}"
    return "\n".join([begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", ""])


def _command(paths: Sequence[Path]) -> list[str]:
    return [f"    {COMMAND} {shlex.join(map(unambiguous, paths))}", ""]


def _escape_verdict(sentence: str) -> str:
    """A sentence of a verdict, whose bold parts stay bold."""
    return "**".join(map(_escape_markdown, sentence.split("**")))


def _title(found: Comparison) -> str:
    """What was compared, and with which encoder, corpus and length of training, where these are the same in all."""
    runs = [run for row in found.rows for run in row.arm.runs]
    differing = find_differing(runs)
    subject = "One arm"
    if differing == ["frozen"]:
        is_pair = len(found.rows) == 2 and any(not row.arm.frozen for row in found.rows)
        subject = "Frozen against unfrozen" if is_pair else "Depths of freezing"
    elif differing:
        keys = list(dict.fromkeys(map(short_key, differing)))
        subject = f"Arms by {', '.join(keys[:MAX_KEYS])}{' and more' if len(keys) > MAX_KEYS else ''}"
    return ": ".join(filter(None, [subject, ", ".join(_facts(runs))]))


def _describe_runs(found: Comparison) -> str:
    """The seeds and the dates of all runs, in a sentence."""
    runs = [run for row in found.rows for run in row.arm.runs]
    seeds = sorted({run.settings["seed"] for run in runs})
    dates = sorted({run.started[:10] for run in runs})
    when = dates[0] if len(dates) == 1 else f"from {dates[0]} to {dates[-1]}"
    arms, of = counted(len(found.rows), "arm"), counted(len(runs), "run")
    return f"{of} in {arms}, with the seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, started {when}."


def _facts(runs: Sequence[Run]) -> list[str]:
    """The encoder, the corpus and the length of training, as far as they are the same in all runs."""

    def common(key: str) -> Any:
        first, *others = (run.settings[key] for run in runs)
        return first if all(other == first for other in others) else None

    source, counts = common("data.source"), {int(run.training.get("documents", 0)) for run in runs}
    corpus = (
        source
        if source == "synthetic"
        else common("data.hub_id") or ", ".join(Path(path).name for path in listed(common("data.train")))
    )
    if corpus and len(counts) == 1 and min(counts):
        corpus += f" ({counted(min(counts), 'document')})"
    steps, capped = common("trainer.max_steps"), any(run.settings["trainer.max_steps"] for run in runs)
    epochs = None if capped else common("trainer.epochs")
    length = counted(steps, "step") if steps else counted(epochs, "epoch") if epochs else ""
    return [fact for fact in ((common("encoder.name") or "").rsplit("/", 1)[-1], corpus, length) if fact]


def _escape_markdown(text: str) -> str:
    """A text of the user's, such as a path in the name of an arm, which Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~$&])", r"\\\1", printable(text))


def _escape_latex(text: str) -> str:
    """A text which LaTeX prints as it is."""
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: words.get(found[0], f"\\{found[0]}"), printable(text))


def _value_rows(found: Comparison) -> list[list[str]]:
    return [
        [
            row.arm.name,
            str(len(row.arm.runs)),
            *(format_interval(row.values[key], digits) for key, (_, digits) in COLUMNS.items()),
            f"{row.parameters / 1e6:.1f} M",
            f"{row.parameters_trained / 1e6:.1f} M ({100 * row.parameters_trained / row.parameters:.0f} %)",
        ]
        for row in found.rows
    ]


def _difference_cell(change: Difference) -> str:
    p = "p < .001" if change.p < 0.001 else f"p = {change.p:.3f}".replace("0.", ".")
    return f"**{change}, {p}**" if change.is_significant else f"{change}, {p}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown; the cells beside the names may have bold parts."""
    lines = [map(_escape_markdown, heads), ["---", *("---:" for _ in heads[1:])]]
    lines += [[_escape_markdown(name), *cells] for name, *cells in rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]
