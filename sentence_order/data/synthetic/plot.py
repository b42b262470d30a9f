"""What a synthetic story is made of, and how one story is drawn from a plot.

A plot is a chain of steps, a step is a handful of wordings, a wording is one sentence with fields in braces:

    {hero} {friend}                 the names of the two characters; they are always a woman and a man, so that
                                    "she" and "he" never fit both
    {they} {them} {their} {theirs} {themself}
                                    the hero's pronouns: she, her, her, ... or he, him, his, ...
                                    (one person: "{they} was"; a wording without braces may mean several by "they")
    {friend.they} {friend.them} ... the friend's pronouns
    {slot}                          a value of the plot's own slot
    {a slot}                        the same with its indefinite article: "a rye loaf", "an oat loaf"

The first letter of a sentence is made a capital, whatever field it comes from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

MIN_SENTENCES = 4
MAX_SENTENCES = 8

# No name ends in "s" (the possessive is always "'s"), none is an English word, none fits both sexes.
WOMEN = (
    "Aisha", "Anika", "Beatrice", "Bridget", "Carmen", "Chiara", "Clara", "Dilara", "Edith", "Elena",
    "Fatima", "Greta", "Hannah", "Helena", "Ingrid", "Joanna", "Katrin", "Leila", "Lucia", "Mara",
    "Marta", "Miriam", "Nadia", "Naomi", "Olga", "Paula", "Priya", "Ruth", "Simone", "Sofia",
    "Tamsin", "Thea", "Ursula", "Vera", "Wanda", "Yuki", "Zoe", "Amara", "Noemi", "Rosalind",
)  # fmt: skip
MEN = (
    "Adrian", "Anton", "Bruno", "Callum", "Cyril", "Daniel", "Diego", "Dmitri", "Emil", "Erik",
    "Farid", "Felix", "Gareth", "Goran", "Hamid", "Henry", "Hugo", "Ivan", "Jakob", "Karim",
    "Kenji", "Leo", "Martin", "Nico", "Omar", "Oskar", "Pavel", "Peter", "Quentin", "Rafael",
    "Ravi", "Samir", "Stefan", "Theo", "Tom", "Ulrich", "Victor", "Walter", "Yusuf", "Kwame",
)  # fmt: skip

_SHE = {"they": "she", "them": "her", "their": "her", "theirs": "hers", "themself": "herself"}
_HE = {"they": "he", "them": "him", "their": "his", "theirs": "his", "themself": "himself"}
_CHARACTER_FIELDS = frozenset({"hero", "friend", *_SHE, *(f"friend.{pronoun}" for pronoun in _SHE)})

_FIELD = re.compile(r"\{(a )?([a-z_.]+)\}")
# Words that are written with a vowel and spoken without, and the other way round.
_CONSONANT_SOUND = re.compile(r"(one\b|once\b|uni|use|usu|eu)", re.IGNORECASE)
_SILENT_H = re.compile(r"(hour|honest|hono|heir)", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """One thing that happens: several sentences that say it, of which a story takes one."""

    wordings: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Plot:
    """A chain of steps whose order follows from what happens in them.

    Wordings are drawn independently per step and optional steps may be left out, so every wording has to follow
    on from every wording before it, and no step may lean on an optional one. A slot whose name is a list
    (`"fruit, fruits"`) draws its values together.
    """

    name: str
    slots: Mapping[str, Sequence[str] | Sequence[tuple[str, ...]]]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Refuse a plot that could yield a broken story, so that the author hears of it on import."""
        required = sum(not step.optional for step in self.steps)
        if not (MIN_SENTENCES <= required <= MAX_SENTENCES):
            raise ValueError(
                f"plot '{self.name}': {required} steps are not optional, not {MIN_SENTENCES} to {MAX_SENTENCES}"
            )
        known = _CHARACTER_FIELDS | {field for slot in self.slots for field in slot.split(", ")}
        for step in self.steps:
            for wording in step.wordings:
                if unknown := {field for _, field in _FIELD.findall(wording)} - known:
                    raise ValueError(f"plot '{self.name}': no slot is named {sorted(unknown)} (in '{wording}')")

    def draw_fields(self, rng: random.Random) -> dict[str, str]:
        """Return one value for every field: the two characters, their pronouns and the plot's slots."""
        woman, man = (_pick(rng, WOMEN), _SHE), (_pick(rng, MEN), _HE)
        (hero, hero_pronouns), (friend, friend_pronouns) = (woman, man) if rng.random() < 0.5 else (man, woman)
        fields = {"hero": hero, "friend": friend, **hero_pronouns}
        fields |= {f"friend.{field}": pronoun for field, pronoun in friend_pronouns.items()}
        for slot, values in self.slots.items():
            value = _pick(rng, values)
            fields |= zip(slot.split(", "), (value,) if isinstance(value, str) else value, strict=True)
        return fields

    def write(self, rng: random.Random) -> list[str]:
        """Return the sentences of one story in gold order."""
        fields = self.draw_fields(rng)
        return [render(_pick(rng, step.wordings), fields) for step in self._draw_steps(rng)]

    def _draw_steps(self, rng: random.Random) -> list[Step]:
        # The number of optional steps is drawn first: it makes every length as likely as any other, where a coin
        # per step would make nearly all stories of a plot equally long.
        optional = [index for index, step in enumerate(self.steps) if step.optional]
        room = MAX_SENTENCES - (len(self.steps) - len(optional))
        left_out = len(optional) - int(rng.random() * (min(len(optional), room) + 1))
        for _ in range(left_out):
            optional.pop(int(rng.random() * len(optional)))
        return [step for index, step in enumerate(self.steps) if not step.optional or index in optional]


def plot(name: str, slots: Mapping[str, Sequence[str] | Sequence[tuple[str, ...]]], *steps: Step) -> Plot:
    """Write a plot down with little indentation, so that a wording fits on a line."""
    return Plot(name, slots, steps)


def step(*wordings: str) -> Step:
    """A step that every story of the plot contains."""
    return Step(wordings)


def maybe(*wordings: str) -> Step:
    """A step that a story of the plot may leave out."""
    return Step(wordings, optional=True)


def render(wording: str, fields: Mapping[str, str]) -> str:
    """Fill in a wording's fields and begin it with a capital."""

    def fill(match: re.Match[str]) -> str:
        value = fields[match[2]]
        return f"{article(value)} {value}" if match[1] else value

    sentence = _FIELD.sub(fill, wording)
    start = 1 if sentence.startswith('"') else 0
    return sentence[:start] + sentence[start].upper() + sentence[start + 1 :]


def article(phrase: str) -> str:
    """Return the indefinite article that is spoken before `phrase`."""
    vowel = phrase[0].lower() in "aeiou" and not _CONSONANT_SOUND.match(phrase)
    return "an" if vowel or _SILENT_H.match(phrase) else "a"


def _pick(rng: random.Random, items: Sequence[T]) -> T:
    # Python promises the same stream for ever only for Random.random(), not for choice() or sample().
    return items[int(rng.random() * len(items))]
