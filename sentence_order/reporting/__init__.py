"""From the folders of runs to an answer: which settings were compared, what each came to, and how sure that is.

runs.py       finds runs, reads them, and groups those that differ in their seed only into arms
estimates.py  means over seeds, intervals, and the comparison of every arm with the baseline
verdict.py    what that says, in words
tables.py     Markdown, CSV, LaTeX;  pictures.py: PNG and SVG
"""

from collections.abc import Sequence
from pathlib import Path


def write_report(
    paths: Sequence[Path], output: Path, baseline: str | None = None, margin: float | None = None
) -> list[str]:
    """Writes `report.md`, `report.csv`, `report.tex` and the pictures into the folder `output`.

    Returns:
        The verdict.

    Raises:
        UserError: there are no finished runs, they do not go together, or there is no such baseline.
    """
    from sentence_order.files import atomic_file
    from sentence_order.reporting import tables
    from sentence_order.reporting.estimates import compare_arms
    from sentence_order.reporting.pictures import draw
    from sentence_order.reporting.runs import find_runs, group
    from sentence_order.reporting.verdict import MARGIN, verdict

    runs, unfinished = find_runs(list(paths))
    arms, left_out = group(runs)
    found = compare_arms(arms, baseline)
    sentences = verdict(found, MARGIN if margin is None else margin)
    output.mkdir(parents=True, exist_ok=True)
    pictures = draw(found, output)
    texts = {
        "report.md": tables.markdown(found, sentences, pictures, unfinished, left_out),
        "report.csv": tables.csv(found),
        "report.tex": tables.latex(found),
    }
    for name, text in texts.items():
        with atomic_file(output / name) as stream:
            stream.write(text)
    return sentences
