"""Plots about houses, flats and what goes wrong in them."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "leaking tap",
        {
            "room": ("kitchen", "bathroom", "laundry room", "guest bathroom"),
            "part": ("washer", "seal", "cartridge", "O-ring"),
            "price": ("ninety", "eighty", "a hundred", "a hundred and twenty"),
        },
        step(
            "{hero} lay awake listening to a tap that dripped in the {room}.",
            "A tap in {hero}'s {room} had begun to drip, once every second, all night long.",
            "The drip, drip, drip of a tap in the {room} kept {hero} from sleeping.",
        ),
        maybe(
            "{they} tied a rag around the spout, which muffled the sound until morning.",
            "A sponge placed under it gave {them} a few hours of peace.",
            "Turning the handle tighter only made it drip faster.",
        ),
        step(
            "A plumber wanted {price} pounds just to look at it, so {they} bought a wrench and {a part} instead.",
            "As no plumber could come before Friday, {they} fetched a wrench and {a part} from the hardware shop.",
            '"How hard can it be?" {they} thought, and came back from the hardware shop with a wrench and {a part}.',
        ),
        step(
            "{they} had loosened the nut by half a turn when a jet of water hit the ceiling.",
            "The moment the wrench turned the nut, water shot {them} in the face.",
            "At the first turn of the wrench the spout came off in {their} hand, and a fountain with it.",
        ),
        step(
            "{hero} raced down to the cellar, slipping on the stairs, and shut off the main supply.",
            "Soaked to the skin, {they} ran to the cellar and groped for the main valve.",
            "It took {them} three frantic minutes to find the stopcock in the cellar and end the flood.",
        ),
        maybe(
            "Before {they} could go on, every towel in the house had to go onto the {room} floor.",
            "{they} wrung out towel after towel until the tiles and the wrench could be seen again.",
            "Back upstairs {they} stood in a puddle and wrung out {their} socks.",
        ),
        step(
            "With the water off, changing the worn {part} for the new one was a matter of minutes.",
            "Now that the pipe was empty, the new {part} slipped into place without any trouble.",
            "In the sudden quiet {they} took out the cracked old {part}, fitted the new one and tightened the nut.",
        ),
        step(
            "{hero} opened the main again, held {their} breath, and heard nothing at all.",
            "Not a drop fell that night, and {they} slept until ten.",
            "The pipes gurgled as the supply came back on, and the spout stayed dry.",
        ),
    ),
    plot(
        "flat-pack furniture",
        {
            "furniture": ("bookcase", "wardrobe", "cabinet", "sideboard", "oak dresser", "linen cupboard"),
            "pieces": ("forty-one", "sixty-three", "twenty-eight", "fifty-five"),
        },
        step(
            "{hero} carried home a flat box that was supposed to become {a furniture}.",
            "Two men delivered a flat box to {hero}'s door, and in it was {a furniture} in {pieces} pieces.",
            "For {their} new flat {hero} had ordered {a furniture}, which came in a box as thin as a mattress.",
        ),
        maybe(
            "{they} cut the tape and laid boards, pegs and screws all over the carpet.",
            "Soon boards and bags of screws covered the whole carpet.",
            "When {they} had unpacked it, there was no room left on the floor to put a foot down.",
        ),
        step(
            "{they} glanced at the booklet of instructions, snorted and threw it over {their} shoulder.",
            "Convinced that only fools read instructions, {they} pushed the booklet under the sofa.",
            "The instructions flew into a corner unread, for {hero} trusted {their} own eyes.",
        ),
        step(
            "{they} hammered and screwed until something like {a furniture} stood against the wall.",
            "By noon the {furniture} was upright, and {they} stepped back to admire it.",
            "Two hours of guessing and hammering later, it was standing.",
        ),
        maybe(
            "Seven screws were left over, which {they} decided not to think about.",
            "That a handful of screws remained on the carpet did not trouble {them}.",
            "It leaned a little, but {they} put that down to the floor.",
        ),
        step(
            "As soon as {hero} opened one of its doors, it swayed, groaned and collapsed.",
            "A lorry rumbled past the house, the {furniture} trembled, and it fell apart.",
            "It stayed up for a minute and a half before coming down with a crash.",
        ),
        maybe(
            "The woman from the flat below came up to ask whether anyone was hurt.",
            "The noise brought the caretaker to the door, who looked at the heap and said nothing.",
            "One of the boards landed on {their} foot.",
        ),
        step(
            "Rubbing {their} shin, {hero} fetched the instructions back and opened them at page one.",
            "{they} crawled about until {they} found the booklet, and now read every line of it.",
            "Humbly {they} smoothed out the booklet and began again with the first drawing.",
        ),
        step(
            "Not a single screw was left over this time, and the {furniture} did not even creak.",
            "Built the way the drawings wanted it, it could have held an elephant.",
            "It took forty minutes, and when {hero} shook the finished {furniture}, it stood like a rock.",
        ),
    ),
    plot(
        "locked out",
        {
            "errand": (
                "to fetch the newspaper",
                "to take out the rubbish",
                "to water the plants on the landing",
                "to see whether there was any post",
            ),
            "clothes": ("pyjamas", "a bathrobe", "slippers and an old shirt", "a nightshirt"),
            "price": ("ninety", "a hundred and twenty", "a hundred and fifty", "eighty-five"),
        },
        step(
            "{hero} stepped out of {their} flat in {clothes} {errand}.",
            "Early on Sunday {hero} left {their} flat in {clothes}, just {errand}.",
            "Wearing nothing but {clothes}, {hero} slipped out of the flat {errand}.",
        ),
        step(
            "A gust of wind caught the door behind {them}, and the lock clicked.",
            "Behind {their} back the door fell shut, with the keys and the phone on the inside.",
            "A draught slammed the door, while the keys hung on their hook in the hall.",
        ),
        maybe(
            "{they} threw {their} whole weight against it, but it would not budge.",
            "{they} poked at the lock with a twig, which broke off.",
            "For a while {they} stood there rattling the handle, as if it might change its mind.",
        ),
        step(
            "{hero} knocked at the flat across the landing and asked to use the phone to call a locksmith.",
            "An old man on the ground floor let {them} ring a locksmith from his kitchen.",
            "{they} pressed every bell in the house until a student lent {them} a phone to call a locksmith.",
        ),
        maybe(
            "{they} waited for the man on the stairs, while the whole house walked past and said good morning.",
            "He promised to be there within the hour, and after two hours on the cold stairs {they} heard his van.",
            "Almost until noon {they} sat on the stairs, and all that time {hero} practised an innocent smile.",
        ),
        step(
            "The locksmith slid a strip of plastic into the gap, and the door sprang open at once.",
            "With a bent wire and a flick of the wrist, the locksmith had it open in ten seconds.",
            "When he had finally come, the locksmith needed one look and one small push with a card.",
        ),
        maybe(
            "For those few seconds of work {hero} had to pay {price} pounds.",
            "The bill was {price} pounds, and {they} counted the notes out with a sour face.",
            '"That makes {price} pounds," he said, already packing up.',
        ),
        maybe(
            "The same afternoon {they} had a spare key cut and left it with the neighbours.",
            "With what was left in {their} purse {hero} bought a spare key and a bigger doorstop.",
            "By evening a spare key was hanging on a nail at the neighbours' flat.",
        ),
    ),
    plot(
        "mouse in the pantry",
        {
            "food": ("oats", "crackers", "rice", "cereal", "almonds", "lentils"),
            "bait": ("peanut butter", "a slice of cheese", "a piece of apple", "a corner of chocolate"),
            "release": ("a field of barley", "the woods", "the park across the river", "an old quarry"),
        },
        step(
            "{hero} took a bag of {food} from the pantry and saw that a hole had been gnawed in it.",
            "A bag of {food} in {hero}'s pantry had been chewed open during the night.",
            "When {hero} lifted a bag of {food} off the shelf, half of it trickled out through a tiny hole.",
        ),
        maybe(
            "Black droppings behind it left no doubt who the thief was.",
            "A tail that vanished behind the jars explained everything.",
            "{they} pushed the jars aside and found a nest made of shredded napkins.",
        ),
        step(
            "Unwilling to kill a mouse, {they} bought a cage trap with a little swinging door.",
            "{they} could not bring {themself} to hurt a mouse, so {they} borrowed a live trap, a small cage.",
            "A mousetrap with a spring seemed cruel to {them}, and {they} chose a cage with a falling door.",
        ),
        step(
            "{they} baited it with {bait} and went to bed.",
            "{bait} went into the cage, and {hero} turned off the light.",
            "With {bait} inside, the cage was left on the bottom shelf overnight.",
        ),
        step(
            "In the morning the bait was gone, the door was shut, and there was nobody inside.",
            "At dawn {they} found it licked clean and empty.",
            "The visitor ate all of the bait without once touching the door.",
        ),
        maybe(
            "The following night it went just the same.",
            "For three nights running the cage fed its guest and let it go.",
            "Twice more {they} filled it, and twice more {they} had only provided a free supper.",
        ),
        step(
            "{hero} bent the catch until the lightest touch would close it, and set it again.",
            "A drop of oil on the hinge made the trap so quick that it caught {hero}'s finger, and {they} set it anew.",
            "So {they} filed down the catch and tied a thread from the door to the bait.",
        ),
        step(
            "A click woke {them} at three: the mouse sat behind the bars, washing its whiskers.",
            "This time the door fell, and two black eyes looked at {them} through the bars.",
            "Before {they} had even fallen asleep, something snapped, and a furious brown mouse was caught.",
        ),
        maybe(
            "After breakfast {they} drove the prisoner to {release} and let it go.",
            "{they} carried the little animal to {release}, where it hopped out without looking back.",
            "It was set free in {release}, far from anybody's pantry.",
        ),
    ),
    plot(
        "power cut",
        {
            "activity": ("ironing a shirt", "watching the news", "peeling potatoes", "reading in bed", "baking"),
            "keeper": ("kitchen drawer", "hall cupboard", "toolbox", "desk"),
            "game": ("cards", "chess", "dominoes", "draughts"),
        },
        step(
            "{hero} was {activity} when every light in the house went out.",
            "A flash lit up the street, and {hero}, who had been {activity}, found {themself} in darkness.",
            "One stormy evening {hero} was {activity}, there was a loud pop, and everything went black.",
        ),
        step(
            "{they} felt {their} way along the wall to the {keeper}, where there was a torch.",
            "Arms stretched out, {they} shuffled to the {keeper} and dug out a torch.",
            "Past chairs and table legs {they} groped for a torch in the {keeper}.",
        ),
        step(
            "Its batteries were flat.",
            "{they} pressed the switch, but the torch did not give so much as a glow.",
            "It had not been used for years, and nothing happened when {they} clicked it.",
        ),
        maybe(
            "From the window {they} saw that all the houses were dark, except for a flicker next door.",
            "So {they} sat down on the floor and listened to the rain.",
            "{they} put the useless thing down and stubbed a toe on the way back.",
        ),
        step(
            "There was a knock, and in the doorway stood {friend} from next door with a burning candle.",
            "Someone knocked: it was {friend}, the new neighbour, who held a candle in a jar.",
            "{friend} from next door, to whom {they} had never spoken, came over with a candle to spare.",
        ),
        step(
            "{hero} asked {friend.them} in, and by its light the two of them played {game}.",
            "{they} invited {friend.them} to stay, and they got out a box of {game}.",
            "Since there was nothing else to do, {hero} and {friend.they} put it on the table and played {game}.",
        ),
        step(
            "When the lamps blazed up at midnight, they were almost sorry.",
            "They were in the middle of the fifth game when the fridge began to hum and the bulbs came back on.",
            "Towards midnight the electricity returned, and they blinked at each other over the game.",
        ),
        maybe(
            "{hero} got up and switched everything off again so that they could go on.",
            "{friend} blew the candle out, but came back the next Friday for a return match.",
            "Fridays have been for {game} ever since, by candlelight and on purpose.",
        ),
    ),
    plot(
        "painted room",
        {
            "colour": ("sea green", "lemon yellow", "brick red", "sky blue", "apricot", "olive"),
            "room": ("bedroom", "study", "hallway", "dining room"),
            "old": ("grey", "beige", "brown", "white"),
        },
        step(
            "{hero} was tired of the {old} walls in {their} {room} and bought a tin of {colour} paint.",
            "The {room} had always been {old}, until {hero} saw a tin of {colour} paint in a sale.",
            "With a free weekend ahead, {hero} chose a tin of {colour} paint for {their} {old} {room}.",
        ),
        maybe(
            "{they} pushed the furniture into the middle and taped newspaper along the floor.",
            "The carpet was rolled up, and the lamp and the wardrobe disappeared under old sheets.",
            "{they} washed the walls, filled the holes and put on a paper hat.",
        ),
        step(
            "Stroke by stroke the {old} disappeared, and by noon three walls were done.",
            "{they} rolled on the paint, humming, and finished three walls before lunch.",
            "Three walls were glowing {colour} when {they} climbed down for a break.",
        ),
        step(
            "For the fourth one there was only a puddle left.",
            "With one wall to go, the roller scraped the bottom of the tin.",
            "Then the tin was empty, and one wall was still {old}.",
        ),
        step(
            "{hero} raced to the shop in {their} spattered overalls and grabbed another tin.",
            "Ten minutes before closing time {they} burst into the shop and asked for the same again.",
            "{they} rang {friend}, who had a car and came round with a second tin.",
        ),
        step(
            "It went on smoothly, but as it dried it turned darker than the rest.",
            "By lamplight it matched, but by daylight the last wall was plainly a different shade.",
            "Only when the last wall was dry did {they} see that it did not match the other three.",
        ),
        maybe(
            "On the two lids, in small print, stood two different numbers.",
            "{they} compared the labels and found that one digit was not the same.",
            "{they} squinted, drew the curtains and opened them again, and the difference was still there.",
        ),
        step(
            '"An accent wall, how modern," said the first visitor, and {hero} nodded gravely.',
            "A colleague who came to dinner praised the bold contrast, and {they} never said a word.",
            "{hero} told everyone that the odd wall was meant to be that way, and came to believe it.",
        ),
    ),
)
