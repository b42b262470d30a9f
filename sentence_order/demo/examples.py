"""The examples of the page, in the right order; the page shows them shuffled."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A short text of our own."""

    title: str
    sentences: tuple[str, ...]

    def shuffled(self) -> list[str]:
        """The sentences in an order that is not the right one, the same at every call."""
        return random.Random(self.title).sample(self.sentences, len(self.sentences))


EXAMPLES = (
    Example(
        "A story",
        (
            "Mara had never baked anything in her life.",
            "One morning she decided to make a cake for her brother's birthday.",
            "She mixed the flour, the eggs and the sugar in a bowl.",
            "Then she put the cake into the oven and went to wrap his present.",
            "When the kitchen filled with smoke, she remembered the oven.",
            "In the end they ate ice cream, and her brother laughed about it for weeks.",
        ),
    ),
    Example(
        "A recipe",
        (
            "Rinse the lentils and soak them in cold water for ten minutes.",
            "Meanwhile, chop the onion and fry it in oil until it is golden.",
            "Add the cumin and stir until it smells sweet.",
            "Now add the drained lentils and a litre of water.",
            "Bring everything to the boil, then let it simmer for twenty-five minutes.",
            "Blend half of the soup and pour it back into the pot.",
            "Season it with lemon and salt, and serve it hot.",
        ),
    ),
    Example(
        "An abstract",
        (
            "Cities lose a large part of their drinking water through leaks that nobody sees.",
            "Earlier methods find such leaks by listening to pipes, which is slow and expensive.",
            "In this paper, we propose to find them from the pressure that meters already report.",
            "Our model compares the pressure of neighbouring meters at night, when little water is used.",
            "We test it for a year in a town of forty thousand people.",
            "It finds nine of ten leaks, on average six days earlier than listening does.",
            "These results suggest that most towns could halve their losses without new sensors.",
        ),
    ),
    Example(
        "Steps",
        (
            "Turn the bicycle upside down so that it rests on its saddle.",
            "Open the brake and take the wheel out of the frame.",
            "Lift the tyre off the rim with two levers.",
            "Pull out the tube and pump it up to hear where the air escapes.",
            "Roughen the place around the hole and press a patch on it.",
            "Put the tube and the tyre back onto the rim.",
            "Finally, mount the wheel, close the brake and take a short ride.",
        ),
    ),
    Example(
        "Auf Deutsch",
        (
            "Am Morgen bemerkte Jonas, dass sein Schlüssel fehlte.",
            "Zuerst suchte er in allen Taschen seiner Jacke.",
            "Danach ging er den Weg vom Vorabend noch einmal ab.",
            "Vor der Bäckerei fragte er schließlich die Verkäuferin.",
            "Sie lachte und zog den Schlüssel unter der Theke hervor.",
            "Zum Dank kaufte er ihr ein großes Stück Kuchen.",
        ),
    ),
)
