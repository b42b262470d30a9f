"""The report in Markdown, CSV and LaTeX."""

import csv
import io
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from sentence_order.data.groups import MAX_SHOWN
from sentence_order.errors import counted, printable
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import format_interval
from sentence_order.experiments.estimates import COSTS, Comparison, Difference
from sentence_order.experiments.overview import describe_runs, make_title
from sentence_order.experiments.runs import Run

# The columns of metrics and costs: their heads, and the digits that they are printed with.
COLUMNS = {
    "tau": ("tau", 3),
    "pmr": ("PMR", 3),
    "accuracy": ("accuracy", 3),
    "seconds_in_steps": ("training, s", 0),
    "documents_per_second": ("stories/s", 0),
    "peak_memory_gb": ("memory, GB", 2),
}
# In every report.
COMMAND = "python -m sentence_order.report"
METHOD = """\
Each value is the mean over an arm's seeds, with its 95 % interval. That of a metric allows for other test documents and
for other seeds (what they change is pooled over all arms); that of a time, a speed or a size, for another run. Training
counts the steps alone; validation, checkpoints and filling the prefix cache are left out. A difference is paired,
document by document; p is two-sided, and corrected for the number of arms (Holm)."""


def as_markdown(
    found: Comparison,
    sentences: Sequence[str],
    pictures: dict[str, str],
    unfinished: Sequence[Path],
    left_out: Sequence[Run],
    paths: Sequence[Path],
) -> str:
    """The whole report, with the sentences of the verdict, and the files of the pictures, each with what it shows;
    `paths` are those that were given."""
    lines = [f"# {_escape_markdown(make_title(found))}", "", _escape_markdown(describe_runs(found)), ""]
    lines += [line for sentence in map(_escape_sentence, sentences) for line in (sentence, "")]
    heads = ["arm", "seeds", *(head for head, _ in COLUMNS.values()), "trained parameters"]
    lines += _table(heads, [[_escape_markdown(name), *cells] for name, *cells in _value_rows(found)])
    if found.others:
        heads = ["arm", *(f"{COLUMNS[metric][0]} (95 %), p" for metric in MAIN_METRICS), "training time"]
        rows = [
            [
                _escape_markdown(row.arm.name),
                *(_difference_cell(row.difference[metric]) for metric in MAIN_METRICS),
                f"{row.seconds / found.baseline.seconds:.2f} times",
            ]
            for row in found.others
        ]
        lines += [f"Less **{_escape_markdown(found.baseline.arm.name)}**:", "", *_table(heads, rows)]
    if groups := list(found.groups)[:MAX_SHOWN]:
        heads = ["arm", *(f"{_escape_markdown(key)} ({found.groups[key]:,})" for key in groups)]
        values = [[format_interval(row.values[key]) for key in groups] for row in found.rows]
        rows = [[_escape_markdown(row.arm.name), *cells] for row, cells in zip(found.rows, values, strict=True)]
        more = f", the {len(groups)} largest of {len(found.groups)}" if len(groups) < len(found.groups) else ""
        lines += [f"By group of documents{more}:", "", *_table(heads, rows)]
    lines += [METHOD, ""]
    for file, shown in pictures.items():
        lines += [f"![{shown}]({file})", ""]

    lines += ["## Runs", ""]
    for row in found.rows:
        runs = ", ".join(f"`{run.folder.name}` (seed {run.settings['seed']})" for run in row.arm.runs)
        filled = f"; the prefix cache took {row.cache_seconds:,.0f} s to fill, once" if row.cache_seconds >= 1 else ""
        in_full = row.arm.name_in_full if row.arm.name_in_full != row.arm.name else ""
        of = f" ({_escape_markdown(in_full)})" if in_full else ""
        lines.append(f"- {_escape_markdown(row.arm.name)}{of}: {runs}{filled}")
    repeats = "which repeats the config and seed of another run"
    lines += [f"- left out: `{run.folder.name}`, {repeats}" for run in left_out]
    lines += [f"- left out: `{folder.name}`, which is not finished" for folder in unfinished]
    lines += ["", f"{counted(found.documents, 'test document')}. The same report, from these runs:", ""]
    lines += [f"    {COMMAND} {shlex.join(map(str, paths))}", ""]
    return "\n".join(lines)


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
    heads = ["arm", "seeds", *(head for head, _ in COLUMNS.values()), "trained"]
    rows = [
        [
            _escape_latex(name),
            *(_escape_latex(cell).replace(" (", r" {\footnotesize(").replace(")", ")}") for cell in cells),
        ]
        for name, *cells in _value_rows(found)
    ]
    lines = [rf"{' & '.join(line)} \\" for line in (heads, *rows)]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}"
    return "\n".join([begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", ""])


def _escape_markdown(text: str) -> str:
    """A text of the user's, such as a path in the name of an arm, which Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~$&])", r"\\\1", printable(text))


def _escape_sentence(sentence: str) -> str:
    """A sentence of the verdict, which has bold parts."""
    return "**".join(map(_escape_markdown, sentence.split("**")))


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
            f"{row.parameters_trained / 1e6:.1f} M ({100 * row.parameters_trained / row.parameters:.0f} %)",
        ]
        for row in found.rows
    ]


def _difference_cell(change: Difference) -> str:
    p = "p < .001" if change.p < 0.001 else f"p = {change.p:.3f}".replace("0.", ".")
    return f"**{change}, {p}**" if change.is_significant else f"{change}, {p}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]
