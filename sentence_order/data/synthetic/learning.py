"""Plots about lessons, tests and stages."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "driving test",
        {
            "times": ("twice", "three times", "four times"),
            "obstacle": ("a flock of geese", "a runaway pram", "a marching band", "a man with a sheet of glass"),
            "street": ("Mill Lane", "Station Road", "Castle Street", "Harbour Road"),
        },
        step(
            "{hero} had failed the driving test {times}, each time because of parking.",
            "Parking had cost {hero} the driving test {times} already.",
            "{hero} could drive, but {they} could not park, and so {they} had failed the driving test {times}.",
        ),
        maybe(
            "All winter {they} practised between two dustbins in the yard.",
            "So {they} borrowed {their} aunt's car and parked it between two dustbins for weeks.",
            "{they} bought a toy car and two bricks and trained on the kitchen table.",
        ),
        step(
            "On the morning of the new attempt a stern examiner with a clipboard got in beside {them}.",
            "When the day came, the examiner sat down next to {them} without a smile.",
            "The examiner who fastened his belt at {their} side that spring was the strictest in the county.",
        ),
        step(
            "They were driving down {street} when {obstacle} appeared right in front of the bonnet.",
            "Everything went smoothly as far as {street}, where {obstacle} came out between two vans.",
            "On {street} the road was suddenly blocked by {obstacle}.",
        ),
        step(
            "{hero} braked, swerved, and rolled backwards into the only free space, an inch from the kerb.",
            "Without thinking {they} turned the wheel and slid into a gap between two cars, as neat as a letter.",
            "{they} hit the brake, threw the car into reverse, and came to rest in a perfect parking position.",
        ),
        maybe(
            "For a while nobody in the car said a word.",
            "The examiner's pencil had snapped in two.",
            "Passers-by began to applaud.",
        ),
        step(
            '"I was going to ask you to park," the examiner said, "but that will do."',
            "The examiner looked out on both sides, measured the distance by eye and nodded.",
            '"Was that on purpose?" asked the examiner, and {hero} bravely said yes.',
        ),
        maybe(
            "Half an hour later {they} held the licence in {their} hands.",
            "{they} passed, and drove home by way of all the narrowest streets.",
            "With the licence in {their} pocket, {hero} kissed the steering wheel.",
        ),
    ),
    plot(
        "violin recital",
        {
            "instrument": ("violin", "cello", "viola"),
            "composer": ("Vivaldi", "Bach", "Telemann", "Corelli"),
            "hall": ("church hall", "school hall", "concert hall", "library"),
        },
        step(
            "{hero} had been taking {instrument} lessons for a year and was to perform in the {hall}.",
            "After a year of lessons, {hero} was asked to play the {instrument} in public, in the {hall}.",
            "The {instrument} teacher had put {hero} on the programme of the concert in the {hall}.",
        ),
        maybe(
            "{they} learned a piece by {composer} and played it every evening until the neighbours could whistle it.",
            "For weeks {they} practised nothing but {composer}, slowly at first and then too fast.",
            "{they} chose a piece by {composer} and went through it before breakfast and after supper.",
        ),
        maybe(
            "On the day, {their} hands were so cold that {they} held them under hot water.",
            "The evening before, {they} could not eat a bite.",
            "Behind the curtain {they} counted the people in the audience and wished {they} had not.",
        ),
        step(
            "When {they} walked onto the stage, a hundred faces looked up.",
            "{their} name was called, and {they} stepped out into the light and bowed.",
            "The whispering stopped as {hero} came out with the {instrument} and nodded to the pianist.",
        ),
        step(
            "Eight bars into the piece, a string snapped with a twang.",
            "The opening went well, until the highest string broke and curled up like a hair.",
            "{they} had barely played a page when one of the strings burst.",
        ),
        maybe(
            "The pianist stopped, and someone in the front row drew a sharp breath.",
            "There was a dreadful silence, in which only a cough could be heard.",
            "{they} stood there with three strings and burning cheeks, while people started to whisper.",
        ),
        step(
            "{hero} closed {their} eyes and went on, moving every note to the strings that were left.",
            "Instead of walking off, {they} began again and found the missing notes on another string.",
            "{they} shrugged, gave the pianist a sign and finished the piece on what remained.",
        ),
        step(
            "At the last chord the whole {hall} stood up.",
            "The applause went on for so long that {they} had to bow five times.",
            "People stamped their feet, and the teacher was crying into the programme.",
        ),
        maybe(
            "The broken string was given to {them} in a frame.",
            "The next morning {hero} bought a spare set and put it into the case.",
            '"Did you plan that?" a small girl asked {them} afterwards at the buffet.',
        ),
    ),
    plot(
        "school play",
        {
            "part": ("a tree", "the back half of a horse", "a rock", "the moon", "a closed door"),
            "role": ("the king", "the robber chief", "the captain", "the ghost"),
            "illness": ("mumps", "a fever", "a lost voice", "chickenpox"),
        },
        step(
            "When the parts in the school play were given out, {hero} got {part}.",
            "{hero} had hoped for a big part in the school play and was cast as {part}.",
            "In the school play {hero} was to be {part}, without a single word to say.",
        ),
        maybe(
            "{their} mother sewed the costume out of an old curtain and said that there are no small parts.",
            "{they} was so disappointed that {they} thought of giving up.",
            "{hero} told nobody at home what it was.",
        ),
        step(
            "As {they} was on the stage at every rehearsal, {they} soon knew all the other lines by heart.",
            "Week after week {they} stood still and listened, and without meaning to {they} learned the whole text.",
            "At rehearsals there was nothing for {them} to do, so {they} moved {their} lips to everybody's lines.",
        ),
        step(
            "An hour before the first night the star, who was to play {role}, came down with {illness}.",
            "On the evening of the performance a message arrived: the boy who played {role} was in bed with {illness}.",
            "The costumes were on and the hall was full when they heard that {role} was at home with {illness}.",
        ),
        step(
            "The teacher was about to send the audience away when {hero} raised {their} hand.",
            '"Does anyone know the lines?" the teacher asked in despair, and {hero} stepped forward.',
            "Nobody else knew the part, and while the others argued {hero} quietly began to recite it.",
        ),
        maybe(
            "Somebody put the crown, the cloak and the beard on {them}, and the curtain rose.",
            "Two minutes later {they} was pushed onto the stage in a costume three sizes too large.",
            "They pinned up the sleeves of the missing boy's costume, and on {they} went.",
        ),
        step(
            "{they} did not miss a single word, and even prompted the others twice.",
            "Once {they} had spoken the first sentence, {hero} forgot that anyone was watching.",
            "{their} voice shook for a line or two, but soon it filled the hall.",
        ),
        maybe(
            "No one noticed that {part} was missing that night.",
            "The boy in bed got well, but from then on the two of them took turns.",
            "In the front row {their} mother explained to everybody whose child that was.",
        ),
    ),
    plot(
        "swimming lesson",
        {
            "age": ("fifty-five", "sixty", "sixty-four", "seventy"),
            "place": ("the municipal pool", "the lake", "the old baths", "the leisure centre"),
        },
        step(
            "At {age}, {hero} had never learned to swim.",
            "{hero} had reached the age of {age} without ever going into water deeper than a bathtub.",
            "Although {hero} was {age}, {they} still could not swim.",
        ),
        step(
            "When {their} granddaughter asked {them} to come to the beach, {they} signed up for lessons at {place}.",
            "{their} grandson laughed when he heard of it, and {they} put {their} name down for a course at {place}.",
            "That had to change before the family holiday by the sea, so {they} booked a course at {place}.",
        ),
        step(
            "On the first evening {they} clung to the ladder and would not let go.",
            "At the first lesson {hero} got in up to the knees and turned round.",
            "The teacher, {friend}, had to pry {their} fingers off the edge one by one.",
        ),
        maybe(
            "Two children with rubber rings swam past and asked whether {they} was stuck.",
            "{they} went home early and hid the swimsuit at the bottom of the drawer.",
            "Water got into {their} nose, and {they} coughed for an hour.",
        ),
        maybe(
            "In the following lesson {they} learned to blow bubbles, which was a beginning.",
            "The week after, {they} put {their} face under for three whole seconds.",
            "{they} went back all the same, and this time floated on {their} back with a hand under {their} head.",
        ),
        step(
            "After a month {they} managed two strokes with a board in front of {them}.",
            "By the fifth week {they} could cross the shallow end, holding on to a foam board.",
            "Little by little the board under {their} arms carried {them} farther from the wall.",
        ),
        step(
            "One day the board slipped away, and {hero} noticed that {they} did not need it.",
            "Without a word the teacher took the board out of {their} hands, and {they} swam on.",
            "{they} let go of it to scratch {their} ear and was astonished not to sink.",
        ),
        step(
            "In the summer {they} swam out to the raft and waved to the family on the beach.",
            "On holiday {hero} was the first in the sea and the last to come out.",
            "That August the grandchildren had to call {them} back, because {they} was heading for the horizon.",
        ),
    ),
    plot(
        "science fair",
        {
            "project": ("volcano", "robot", "water wheel", "weather station", "wind turbine"),
            "prize": ("the prize for the best idea", "a microscope", "a trip to the observatory", "the silver cup"),
            "room": ("gymnasium", "assembly hall", "canteen", "town library"),
        },
        step(
            "For the science fair {hero} was building {a project} out of scrap.",
            "{hero} wanted to win the science fair with {a project} made of tins and wire.",
            "There was to be a science fair at school, and {hero} began to construct {a project} in the garage.",
        ),
        maybe(
            "It took six weeks and the family's toaster.",
            "{their} father's tools disappeared one by one, and every evening there was hammering.",
            "{they} drew forty plans before {they} was satisfied.",
        ),
        step(
            "On the morning of the fair {they} pulled it to school on a handcart.",
            "Wrapped in a blanket it was driven to the {room}, where {they} set it up on a table.",
            "When it was ready, {they} carried it to the {room} in two boxes.",
        ),
        step(
            "{they} plugged it in for a test, and all the lights in the {room} went out.",
            "At the first trial there was a bang, and a cloud of smoke rose over the table.",
            "As {they} pressed the switch, a spark jumped out and something inside melted.",
        ),
        step(
            "The {project} would not move any more, and the jury was only three tables away.",
            "Nothing could make it work again, while the judges were already coming down the row.",
            "{they} shook it and pleaded with it, but it stayed dead, and the jury drew nearer.",
        ),
        maybe(
            "They had reached the next table, and a girl was showing them a perfect crystal.",
            "{friend}, whose work was being judged next to {theirs}, advised {them} to say that it was modern art.",
            "By the time they were at the next table, {they} was close to hiding under the cloth.",
        ),
        step(
            "So {hero} took it apart, spread the pieces out and wrote on a card: why it failed.",
            "On the back of {their} poster {they} quickly drew what had gone wrong and how to avoid it.",
            "Instead of hiding the damage, {they} opened the lid and turned the burnt parts to the front.",
        ),
        step(
            "The judges stayed for twenty minutes and asked to hold the scorched wires themselves.",
            "When the jury stopped there, {they} explained the mistake so well that they took notes.",
            '"Tell us what happened," said the head of the jury, and {they} did, with both hands.',
        ),
        step(
            "That afternoon {prize} went to the only exhibit that did not work.",
            "{they} was awarded {prize}, for the most honest experiment.",
            "{prize} was {theirs} in the end, because, as the jury put it, failing is how one learns.",
        ),
    ),
    plot(
        "language exchange",
        {
            "language": ("Portuguese", "Finnish", "Arabic", "Polish", "Turkish", "Greek"),
            "blunder, meant": (
                ("that the soap was delicious", "the soup"),
                ("that the goat was delicious", "the cook"),
                ("that the shoes were delicious", "the dish"),
                ("that the ceiling was delicious", "the meal"),
            ),
        },
        step(
            "{hero} was learning {language} from a book and could only talk to {themself}.",
            "After a year with {a language} textbook, {hero} had never spoken to anyone in it.",
            "From a textbook {hero} knew nine hundred words of {language}, and not one person to say them to.",
        ),
        step(
            "On a notice board {they} read that somebody called {friend} was looking for a partner to practise with.",
            "{they} put up a note at the university and got an answer from {friend}, who wanted to swap lessons.",
            "Through an advertisement {they} met {friend}, a native speaker who wanted to swap lessons.",
        ),
        maybe(
            "The two of them met in a café every week, half an hour for each language.",
            "From then on they sat in the park on Tuesdays, correcting each other's verbs.",
            "Every Tuesday evening they talked for two hours, and the dictionary lay between them.",
        ),
        step(
            "When {they} could hold a conversation, {friend} invited {them} home to meet the family.",
            "Some months later {friend}'s mother insisted on cooking for the new friend.",
            "In spring {friend.they} decided that it was time for a real test and took {them} home for dinner.",
        ),
        maybe(
            "{hero} rehearsed a polite sentence on the stairs.",
            "On the way there {they} learned the words for every vegetable {they} could think of.",
            "Eleven people were sitting at the table, and all of them looked at {them}.",
        ),
        step(
            "{they} tasted the food, stood up and announced in {language} {blunder}.",
            "After the first course {they} wanted to praise {meant}, but what {they} said was {blunder}.",
            "One wrong vowel at the table was enough, and {hero} had declared {blunder}.",
        ),
        step(
            "There was a pause, and then the grandmother laughed until she slid off her chair.",
            "The uncles roared, the children repeated it, and {friend} hid {friend.their} face in a napkin.",
            "For a second no one breathed, and then the whole family burst out laughing.",
        ),
        maybe(
            "The sentence became a saying in that family.",
            "Nobody would let {them} leave without a second helping.",
            "{friend} wrote the word on a card for {them}, with a little drawing, so that it would never happen again.",
        ),
    ),
)
