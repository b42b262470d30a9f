"""The HTML of what the page shows beside the list of sentences; every text in it is escaped."""

from html import escape

from sentence_order.demo.answers import Answer, describe_confidence, format_probability
from sentence_order.errors import counted
from sentence_order.inference.details import Matrix, OrderProbability
from sentence_order.inference.ordering import Prediction

MAX_IN_MAP = 40  # sentences; the cells of more would be too small to read
MAX_DOUBTED = 5  # pairs that are listed
MAX_QUOTED = 32  # characters of a sentence in a line about it
APPROXIMATE = ' <span class="so-note">(approximate: more than 12 sentences)</span>'


def render_message(text: str) -> str:
    """A sentence that stands where the answer would."""
    return f'<p class="so-message" role="alert">{escape(text)}</p>'


def render_model(checkpoint: str) -> str:
    """The line that says which model orders."""
    return f'<p class="so-note">Model: <code>{escape(checkpoint)}</code></p>'


def render_confidence(answer: Answer, same: bool | None = None) -> str:
    """The confidence in words and number; after a shuffle, also whether the answer is the same as before."""
    probability, count = answer.prediction.confidence, counted(len(answer.sentences), "sentence")
    words = describe_confidence(probability)
    cut = ""
    if answer.truncated:
        cut = (
            f" Of {counted(answer.truncated, 'sentence')} only the first {answer.max_sentence_tokens} tokens were read."
        )
    notes = {
        None: "",
        True: '<p class="so-same so-spoken">Shuffled again: the model gives the same order.</p>',
        False: '<p class="so-same so-other so-spoken">Shuffled again: the model gives another order now.</p>',
    }
    return f"""\
<div class="so-verdict so-{words.split()[-1].lower()}">
  <p class="so-headline so-spoken"><strong>{words}</strong> <span>{format_probability(probability)}</span></p>
  {_bar(probability)}
  <p class="so-note">Calibrated probability that the whole order is right. {count} in {answer.seconds:.2f} s.{cut}</p>
  {notes[same]}
</div>"""


def render_model_order(probability: float, approximate: bool) -> str:
    """How probable the model's order is, where that of another order will stand."""
    about = APPROXIMATE if approximate else ""
    return f"""\
<p><span class="so-spoken">The model's own probability of this order:
<strong>{format_probability(probability)}</strong>{about}.</span> Move a sentence to see that of another order.</p>"""


def render_own_order(own: OrderProbability, sentences: list[str], model_probability: float) -> str:
    """How probable someone's order is, beside the model's, and which pairs the model doubts."""
    about = APPROXIMATE if own.approximate else ""
    rows = [("Your order", own.probability), ("The model's order", model_probability)]
    spoken = "; ".join(f"{name}: {format_probability(value)}" for name, value in rows)
    bars = "".join(
        f"<dt>{name}</dt><dd>{_bar(value)}<span>{format_probability(value)}</span></dd>" for name, value in rows
    )
    return f"""\
<p class="so-hidden so-spoken">{spoken}</p>
<dl class="so-compare" aria-hidden="true">{bars}</dl>
<p class="so-note">{_compare(own.probability, model_probability)} By the model's own probabilities{about}.</p>
{_render_doubts(own, sentences)}"""


def _compare(own: float, other: float) -> str:
    """How much less probable someone's order is than the model's, or more, where that is approximate."""
    if own <= 0:
        return ""
    ratio, word = (other / own, "less") if own < other else (own / other, "more")
    if ratio < 1.05:
        return "Both are about as probable."
    return f"Yours is {float(f'{ratio:.2g}'):,.{int(ratio < 10)}f} times {word} probable."


def _render_doubts(own: OrderProbability, sentences: list[str]) -> str:
    if own.doubted_pairs is None:
        return '<p class="so-note">This model reads an order as a whole and has no probabilities of pairs.</p>'
    if not own.doubted_pairs:
        return "<p>The model doubts no pair of this order.</p>"
    count = len(sentences)
    lines = [
        f"<li>{_chip(pair.first, count)} <q>{_quote(sentences[pair.first])}</q> before {_chip(pair.second, count)} "
        f"<q>{_quote(sentences[pair.second])}</q>: <strong>{format_probability(pair.probability)}</strong></li>"
        for pair in own.doubted_pairs[:MAX_DOUBTED]
    ]
    more = len(own.doubted_pairs) - MAX_DOUBTED
    rest = f'<p class="so-note">and {counted(more, "other pair")}.</p>' if more > 0 else ""
    title = f"The model doubts {counted(len(own.doubted_pairs), 'pair')}"
    return f'<p class="so-title">{title}</p><ul class="so-doubts">{"".join(lines)}</ul>{rest}'


def render_orders(prediction: Prediction) -> str:
    """The likeliest orders, with what differs from the likeliest marked."""
    if not prediction.top_k:
        return '<p class="so-note">This model does not list several orders.</p>'
    best = prediction.top_k[0].order
    items = []
    for ranked in prediction.top_k:
        chips = "".join(
            _chip(index, len(best), "so-differs" if index != other else "")
            for index, other in zip(ranked.order, best, strict=True)
        )
        number = format_probability(ranked.probability)
        items.append(f"<li><p>{chips}</p><span>{_bar(ranked.probability)}<strong>{number}</strong></span></li>")
    about = APPROXIMATE if prediction.approximate else ""
    # A pointer network, which has no pairs.
    search = " A beam search found these orders; it may miss likelier ones." if prediction.pairs is None else ""
    return f"""\
<ol class="so-orders">{"".join(items)}</ol>
<p class="so-note">The model's own probabilities, before calibration{about}. Numbers are places in your text; a ring
marks what differs from the likeliest order.{search}</p>"""


def render_map(prediction: Prediction) -> str:
    """The heat map of which sentence comes before which, both in the predicted order."""
    calibrated = prediction.pairs_calibrated is not None
    pairs: Matrix | None = prediction.pairs_calibrated if calibrated else prediction.pairs
    if pairs is None:
        return '<p class="so-note">This model reads an order as a whole and has no probabilities of pairs.</p>'
    order, count = prediction.order, len(prediction.order)
    if count > MAX_IN_MAP:
        return f'<p class="so-note">The map is drawn for at most {MAX_IN_MAP} sentences; here are {count}.</p>'
    head = "".join(f'<th scope="col">{_chip(j, count)}</th>' for j in order)
    rows = [
        f'<tr><th scope="row">{_chip(i, count)}</th>{"".join(_cell(pairs[i][j], i, j, count) for j in order)}</tr>'
        for i in order
    ]
    which = "calibrated on validation documents" if calibrated else "the model's own"
    return f"""\
<p class="so-note" id="so-map-note">Percent that the sentence of the row comes before that of the column; {which}.</p>
<div class="so-scroll" tabindex="0" role="group" aria-label="Pairs">
<table class="so-map" aria-describedby="so-map-note">
<tr><td></td>{head}</tr>{"".join(rows)}</table></div>
<p class="so-legend"><span class="so-after">after</span><span class="so-ramp"></span><span>before</span></p>"""


def _cell(probability: float | None, i: int, j: int, count: int) -> str:
    if i == j or probability is None:
        return '<td class="so-none"></td>'
    percent = round(100 * probability)
    if 0 < probability < 1:  # 0 and 100 are for what is certain
        percent = min(max(percent, 1), 99)
    side = "so-yes" if probability >= 0.5 else "so-no"
    text = str(percent) if count <= 12 else f'<span class="so-hidden">{percent}</span>'
    strength = f"{abs(200 * probability - 100):.0f}%"
    return f'<td class="{side}" style="--s:{strength}" title="{i + 1} before {j + 1}: {percent} %">{text}</td>'


def _chip(index: int, count: int, mark: str = "") -> str:
    """The number of a sentence in the text, from 1, in a colour of the place there."""
    return f'<b class="so-chip {mark}" style="--t:{index / max(count - 1, 1):.3f}">{index + 1}</b>'


def _bar(probability: float) -> str:
    return f'<span class="so-bar" aria-hidden="true"><i style="width:{100 * probability:.1f}%"></i></span>'


def _quote(sentence: str) -> str:
    """The beginning of a sentence."""
    short = sentence if len(sentence) <= MAX_QUOTED else f"{sentence[: MAX_QUOTED - 1].rstrip()}…"
    return f'<bdi dir="auto">{escape(short)}</bdi>'
