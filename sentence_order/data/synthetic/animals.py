"""Plots about animals and the people who run after them."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "lost dog",
        {
            "breed": ("spaniel", "terrier", "beagle", "Airedale", "dachshund", "poodle"),
            "dog": ("Biscuit", "Pepper", "Toto", "Bandit", "Waffle"),
            "bang": ("a firework went off", "a car backfired", "thunder cracked", "a tyre burst"),
            "stop": ("depot", "airport stop", "harbour terminus"),
        },
        step(
            "{hero} was walking {their} {breed}, {dog}, in the park when {bang}.",
            "In the park {bang}, just as {hero} was taking {dog}, {a breed}, off the lead.",
            "{hero} had {a breed} called {dog} who feared nothing, until one evening in the park {bang}.",
        ),
        step(
            "The dog bolted through a hedge and was gone.",
            "Before {they} could grab the collar, the animal had torn off across the road.",
            "Ears flat, the dog shot out of the gate and round the corner.",
        ),
        maybe(
            "{they} called and whistled until it was too dark to see.",
            "Until midnight {hero} searched the streets, shaking a bag of treats.",
            "{they} ran up and down the embankment shouting the name, but only echoes came back.",
        ),
        step(
            "That same night {they} printed a photo of {dog} and pinned it to every lamp post.",
            "Too worried to sleep, {they} drew up a poster and had it in all the shop windows by morning.",
            "At dawn {they} went out and put up a poster with a photo on every tree between park and station.",
        ),
        maybe(
            "Three people telephoned, and each of them had seen a different dog.",
            "The first caller had found a cat.",
            "For two days the only one to ring was a man who sold insurance.",
        ),
        step(
            "A bus driver who had read it called on the third day: {a breed} was sitting at the {stop}.",
            "A bus driver recognised the picture and rang to say that a muddy passenger would not leave the {stop}.",
            "Somebody from the bus company called about the poster and asked {them} to come to the {stop}.",
        ),
        step(
            "When {they} got to the {stop}, there was one bark and a wildly beating tail.",
            "At the {stop} a bundle of mud flew into {their} arms and nearly knocked {them} over.",
            "{hero} took a taxi there, and before it had stopped, {dog} was scratching at its door.",
        ),
        maybe(
            "The two of them rode home by bus, free of charge.",
            "That evening {they} went round and took down the posters, with {dog} on a short lead.",
            "The driver would not accept the reward, only a paw.",
        ),
    ),
    plot(
        "injured bird",
        {
            "bird": ("blackbird", "owl", "jackdaw", "starling", "kestrel", "magpie"),
            "weeks": ("three weeks", "a month", "five weeks"),
            "home": ("shoebox", "hatbox", "wooden crate", "laundry basket"),
        },
        step(
            "{hero} heard a thud against the window and found {a bird} lying on the terrace.",
            "{a bird} was fluttering in circles on the pavement when {hero} came home from work.",
            "Under the hedge behind the school, {hero} discovered {a bird} that could not fly.",
        ),
        step(
            "One of its wings hung down at an odd angle.",
            "It tried to hop away from {them}, but a wing dragged in the dust.",
            "{they} knelt down and saw that its left wing was broken.",
        ),
        step(
            "{they} laid the {bird} in {a home} lined with a scarf and took it to the vet.",
            "In {a home} with a few holes in the lid it travelled to the vet on {their} lap.",
            "{they} threw a towel over it, lifted it into {a home} and carried it to the vet.",
        ),
        step(
            "The vet put on a splint the size of a matchstick and prescribed rest and worms for {weeks}.",
            '"It will mend in {weeks}," said the vet, who had wound a tiny bandage round the wing.',
            "It came out of the surgery in a bandage, with orders not to move for {weeks}.",
        ),
        maybe(
            "{hero} got up at five every morning to feed the patient with tweezers.",
            "So the {home} moved into the bathroom, and {they} dug for worms before breakfast.",
            "Every two hours, even at the office, {they} held out a worm to the bird in its {home}.",
        ),
        maybe(
            "It soon knew {their} steps and opened its beak as soon as {they} came up the stairs.",
            "Before long it ate out of {their} hand and complained when {they} was late.",
            "By the second week the {bird} was strong enough to peck {them}.",
        ),
        step(
            "When the bandage came off, it stretched both wings and flapped once round the lamp.",
            "The splint was removed on a Friday, and at once the {bird} flew to the top of the cupboard.",
            "Freed of its dressing, the bird tried a few beats and landed, surprised, on the curtain rail.",
        ),
        step(
            "{they} carried it out to the garden, opened {their} hands, and it shot up over the roofs.",
            "{hero} opened the window wide, and after a moment's thought the {bird} was gone.",
            "On a clear evening {they} let it go, and it did not look back.",
        ),
        maybe(
            "The next spring {a bird} sat on the gutter for days, and {they} was sure that it was the same one.",
            "{they} kept the {home}, with one small feather in it.",
            "Now and again a shrill call from the roof made {hero} look up and smile.",
        ),
    ),
    plot(
        "swarm of bees",
        {
            "place": ("library", "bakery", "school", "post office", "museum"),
            "perch": ("traffic light", "letter box", "street lamp", "parked moped", "bicycle stand"),
            "box": ("a straw hive", "a wooden box", "a cardboard box"),
        },
        step(
            "{hero}, who worked at the {place}, opened the door one morning and heard a deep humming.",
            "It was noisier than usual when {hero} came to unlock the {place}: the whole street was humming.",
            "A hum like that of a huge engine made {hero} step out of the {place} and look up.",
        ),
        step(
            "A brown beard of bees was hanging from the {perch} outside.",
            "On the {perch} across the street sat thousands of bees, one on top of the other.",
            "Bees were settling on the {perch} in front of the entrance until it looked like a furry barrel.",
        ),
        maybe(
            "People crossed over to the other side, and a taxi driver rolled up his windows.",
            "A man with a rolled newspaper took a step towards them and three steps back.",
            "{they} locked the customers in and hung a sign on the door.",
        ),
        step(
            "{hero} telephoned {friend}, a beekeeper who lived two villages away.",
            "The police had no idea what to do, so {they} looked up a beekeeper, {friend}, and called.",
            "{they} remembered that {friend} from the choir kept bees, and sent {friend.them} a picture.",
        ),
        step(
            "{friend} came with {box} and without so much as a glove.",
            "Within the hour {friend} was there, in a veil and with {box} under {friend.their} arm.",
            "Out of {friend.their} van {friend} took a veil, a brush and {box}.",
        ),
        step(
            "With one sharp tap {friend.they} knocked the whole cluster into it.",
            "{friend.they} held it underneath, brushed gently from above, and the bees dropped in like porridge.",
            "{friend.they} swept most of the swarm inside, and the queen must have been among them.",
        ),
        maybe(
            "The stragglers followed by themselves, marching in like soldiers.",
            "Those that were left in the air circled for a while and crawled in after the rest.",
            '"Now the others will go to her of their own accord," {friend.they} said, and they did.',
        ),
        maybe(
            "When it was dark, {friend} closed the lid and drove the swarm home.",
            "By sunset there was not one bee on the {perch}, and {hero} could take the sign down.",
            "In the evening the humming box left town on the passenger seat of the van.",
        ),
        maybe(
            "That autumn a jar of honey was delivered to the {place}, addressed to {hero}.",
            "A year later {they} was given a glass of its honey, which tasted of lime trees.",
            "There is a hive on the roof of the {place} today, and it was {hero} who asked for it.",
        ),
    ),
    plot(
        "escaped hens",
        {
            "number": ("five", "six", "seven", "nine"),
            "owner": ("vicar", "mayor", "schoolmaster", "dentist"),
            "crop": ("lettuces", "tulips", "strawberries", "peas"),
        },
        step(
            "{hero} kept {number} hens in a shed behind the house.",
            "Since the spring {number} hens had lived in {hero}'s back yard.",
            "In a run that {they} had built {themself}, {hero} was raising {number} hens.",
        ),
        step(
            "In a hurry one evening, {they} forgot to fasten the latch.",
            "One night a storm pulled the little door off its hinge, and {they} heard nothing.",
            "A loose board had bothered {them} for weeks, and one day it fell out.",
        ),
        step(
            "In the morning there was nobody on the perch.",
            "When {they} came with the corn, the coop was deserted.",
            "{hero} went out to collect eggs and stood in front of an empty coop.",
        ),
        step(
            "A trail of feathers led {them} along the lane to the {owner}'s garden.",
            "{they} followed scratch marks in the mud as far as the {owner}'s fence.",
            "From the other side of the {owner}'s wall came a cluck that {they} knew.",
        ),
        step(
            "All the birds were there, up to their necks in the {owner}'s prize {crop}.",
            "Of the {crop} there, the pride of the {owner}, only stalks were left, and the hens were asleep.",
            "Standing on tiptoe {they} saw the hens walking up and down between the ruins of the {crop}.",
        ),
        maybe(
            "The {owner} was at the window, speechless.",
            '"Are these ladies yours?" asked a cold voice behind {them}.',
            "{they} would have crept away if the curtain had not moved.",
        ),
        step(
            "It took {hero} two hours, a fishing net and a loaf of bread to catch them.",
            "{they} crawled through the beds on {their} stomach and grabbed one hen after the other by the legs.",
            "With a trail of corn {they} lured the whole company back across the lane.",
        ),
        step(
            "As a peace offering {they} brought the {owner} a dozen eggs every week until Christmas.",
            "{they} replanted the {crop} on {their} knees and left a basket of eggs on the doorstep.",
            "The damage was paid for in eggs, and the {owner} came to like omelettes.",
        ),
        maybe(
            "The coop has had two bolts and a padlock ever since.",
            "One of the hens still jumps onto the {owner}'s wall on Sundays, just to look.",
            "Nobody touched the new {crop}, for by then a high fence stood around the run.",
        ),
    ),
    plot(
        "cat on the roof",
        {
            "cat": ("Tabitha", "Mister Grey", "Sardine", "Olive", "Captain"),
            "dog": ("a sheepdog", "an Alsatian", "a pack of beagles", "a loose greyhound"),
            "building": ("chapel", "town hall", "cinema", "old mill"),
            "food": ("tuna", "liver", "cream", "sardines"),
        },
        step(
            "Chased by {dog}, {hero}'s cat {cat} fled up a drainpipe and onto the roof of the {building}.",
            "{hero} saw {their} cat {cat} run from {dog} and climb all the way up the {building}.",
            "{dog} came round the corner, and {hero}'s cat {cat} shot up the front of the {building}.",
        ),
        step(
            "There the animal crouched by the chimney and did not dare to move.",
            "Getting down again was another matter, and a pitiful howl came from the gutter.",
            "Once the danger had passed, a small face looked over the edge and wailed.",
        ),
        maybe(
            "{they} put a dish of {food} on the pavement and called, without result.",
            "{hero} held up a plate of {food}, which was sniffed at from afar and declined.",
            "Not even {food} on a saucer could tempt the cat to come down.",
        ),
        step(
            "{friend} from across the street brought a ladder, but it ended far below the roof.",
            "With {friend}, a neighbour, {they} leaned a ladder against the wall, and it was far too short.",
            "A ladder was fetched, but the one that {friend} lent {them} was three yards too short.",
        ),
        maybe(
            "Somebody in the crowd suggested standing it on a table.",
            "{friend} climbed to the topmost rung all the same and could touch the gutter, but not the cat.",
            "They tied a second one to it with string and thought better of it.",
        ),
        step(
            "In despair {they} called the fire brigade.",
            "{hero} dialled the emergency number and apologised four times.",
            "Only the fire brigade had anything longer, and {they} rang them.",
        ),
        step(
            "The engine arrived with its lights flashing, and a fireman rode up in the basket.",
            "Ten minutes later a turntable ladder rose into the air with a fireman at its tip.",
            "Five firemen unfolded their equipment, and the youngest of them was sent up.",
        ),
        step(
            "He had just stretched out his arm when {cat} stood up, yawned and walked down the drainpipe.",
            "As his glove touched the fur, the cat jumped to the drainpipe and slid down it like an old hand.",
            "{cat} looked at him, turned round and climbed down without any help at all.",
        ),
        maybe(
            "The firemen got tea, and the cat got nothing.",
            "{hero} invited the whole crew to coffee, too ashamed to look at anybody.",
            "Everybody clapped, except for the man in the basket.",
        ),
    ),
    plot(
        "stubborn donkey",
        {
            "donkey": ("Barnaby", "Clementine", "Figaro", "Old Tim"),
            "event": ("harvest parade", "Christmas play", "village fair", "mayor's birthday"),
            "offer": ("carrots", "sugar lumps", "apples", "oats"),
            "tune": ("an accordion", "a mouth organ", "a tin whistle", "a violin"),
        },
        step(
            "{hero} was to bring {donkey} the donkey to the {event} at three.",
            "For the {event} they needed a donkey, so {hero} set out from the farm with {donkey} on a rope.",
            "{donkey}, a donkey with a straw hat, was being led to the {event} by {hero}.",
        ),
        step(
            "In the middle of the bridge the animal stopped.",
            "They got as far as the bridge, where four hooves came to a halt.",
            "Everything went well until they came to the bridge, for there {donkey} would not take another step.",
        ),
        maybe(
            "{they} pulled at the rope, and {they} pushed from behind, and neither had any effect.",
            "{they} dug {their} heels in and tugged, but {they} might as well have tugged at the church.",
            "{they} pleaded, scolded and leaned against the grey rump with all {their} weight.",
        ),
        maybe(
            "A bucket of {offer} was emptied without moving a hoof.",
            "{offer} were gladly accepted, chewed, and not thought of as a reason to walk.",
            "{hero} held out {offer}, and only the neck grew longer.",
        ),
        step(
            "Behind them a tractor, a milk lorry and two wedding cars were waiting by now.",
            "Cars queued up on both banks, and somebody began to sound his horn.",
            "Before long there was a traffic jam that reached back to the petrol station.",
        ),
        step(
            "Out of one of the cars climbed {friend}, unpacked {tune} and started to play.",
            "{friend}, who was stuck in the queue, strolled up with {tune} and struck up a march.",
            "From the end of the queue came {friend}, a musician, who put {tune} to use without a word.",
        ),
        step(
            "The long ears turned, and {donkey} trotted after the music.",
            "At the third bar the donkey lifted one foot, then another, and began to follow the tune.",
            "{donkey} listened for a moment, brayed, and marched off the bridge in time.",
        ),
        step(
            "{hero} and the musician walked in front the whole way, and they reached the {event} to loud cheers.",
            "So it came that the {event} began late, but with a band of one.",
            "They were an hour late for the {event}, with forty cars behind them like a procession.",
        ),
    ),
)
