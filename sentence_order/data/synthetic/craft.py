"""Plots about making things and mending them."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "stopped clock",
        {
            "hour": ("ten past four", "twenty to nine", "six o'clock", "a quarter to two"),
            "keepsake": ("a love letter", "a lottery ticket", "a child's drawing", "a pawn ticket"),
            "relative": ("grandmother", "great-aunt", "grandfather", "godfather"),
        },
        step(
            "{hero} inherited from {their} {relative} a wall clock whose hands had stood at {hour} for years.",
            "The wall clock that came to {hero} from {their} {relative} had long ago stopped at {hour}.",
            "{hero}'s {relative} left {them} a wall clock that showed {hour} and had not ticked for half a lifetime.",
        ),
        step(
            "{they} hung it up, wound it and gave the pendulum a push, but it would not go.",
            "However often {they} set the pendulum swinging, it came to rest after a minute.",
            "{they} oiled it with a feather and turned the key, without getting a sound out of it.",
        ),
        step(
            "The clockmaker in the old town put on a magnifying glass and unscrewed the back.",
            "{they} carried it under {their} arm to a clockmaker, who opened the case on his bench.",
            "So it was taken to a clockmaker, and he lifted out the works with a pair of tweezers.",
        ),
        maybe(
            '"A beautiful piece," he muttered, and blew the dust away.',
            "A dead moth fell out, and a great deal of dust.",
            "For a long time he only hummed and poked about.",
        ),
        step(
            "Between two wheels stuck a folded piece of paper.",
            "The wheels were in perfect order, but there was paper jammed between them.",
            "He drew out something that had blocked the gears, which was a slip of paper, folded small.",
        ),
        maybe(
            "{hero} unfolded it and was looking at {keepsake}.",
            "It was {keepsake}, hidden there by {their} {relative}.",
            "Smoothed out on the counter, it proved to be {keepsake}.",
        ),
        step(
            "With the obstacle gone, the clock began to tick by itself.",
            "Now that nothing held them back, the wheels started up with a whirr, and it struck twelve.",
            "The clockmaker touched the pendulum with one finger, and this time it kept swinging.",
        ),
        maybe(
            "He would take no money for such a small repair.",
            "Now it hangs in {their} kitchen and is four minutes fast.",
            "{hero} put the find back into the case, a little to one side of the wheels.",
        ),
    ),
    plot(
        "knitted jumper",
        {
            "wool": ("mustard wool", "violet wool", "green wool", "striped wool", "grey wool"),
            "model": ("the neighbour's dog", "the teapot", "a hot-water bottle", "the garden gnome"),
        },
        step(
            "{hero} wanted to knit a jumper for {friend} and bought ten balls of {wool}.",
            "From ten balls of {wool} {hero} was going to knit {friend} a jumper.",
            "{friend} was always cold, so {hero} decided to make {friend.them} a jumper out of {wool}.",
        ),
        maybe(
            "{they} knitted on the bus, in the bath and in front of the television.",
            "Row upon row {they} worked at it, at lunch, on trains and in waiting rooms.",
            "From October on {they} was never seen without the needles.",
        ),
        maybe(
            "Twice {they} dropped a stitch and had to undo a whole evening's work.",
            "The left sleeve came out longer than the right one, and {they} did it again.",
            "By the time {they} reached the collar, {they} could do it in the dark.",
        ),
        step(
            "At Christmas {friend} unwrapped it, put it on, and it fitted perfectly.",
            "{friend} got it for {friend.their} birthday and would not take it off all day.",
            "It was given to {friend} in a box with a bow, and {friend.they} wore it the same evening.",
        ),
        step(
            "A week later {friend.they} put it in the washing machine, at ninety degrees.",
            "{friend}, who meant well, boiled it with the towels after a week.",
            "After spilling some gravy on it, {friend} washed it as hot as {friend.they} could.",
        ),
        step(
            "What came out of the drum would have fitted a doll.",
            "It had shrunk to the size of a mitten and was as stiff as a board.",
            "{friend} opened the drum and held in {friend.their} hands a thing no bigger than a sock.",
        ),
        maybe(
            "{friend} brought it back with tears in {friend.their} eyes and could hardly speak.",
            "For days {friend.they} avoided {hero}, until {friend.they} could bear it no longer and confessed.",
            "With a bowed head {friend.they} laid the tiny garment on {hero}'s table.",
        ),
        step(
            "{hero} looked at it for a moment and pulled it over {model}, where it sat like a glove.",
            '"Just the right size for {model}," said {hero}, who had begun to giggle.',
            "It was not wasted, for {hero} tried it on {model}, and it could have been made to measure.",
        ),
        maybe(
            "The next one was made of cotton.",
            "Within the hour {they} had cast on the first row of another, with a washing label inside.",
            "Both of them went out together to buy ten more balls, and a bottle of cold-wash soap.",
        ),
    ),
    plot(
        "cracked vase",
        {
            "piece": ("vase", "teapot", "fruit bowl", "jug", "urn"),
            "glaze": ("blue", "celadon", "copper red", "white"),
            "metal": ("gold", "silver", "brass"),
        },
        step(
            "In a pottery class {hero} spent a month trying to throw {a piece} on the wheel.",
            "{hero} took up pottery, and after forty lumps of clay {they} had made {a piece} that stood straight.",
            "The clay obeyed {hero} for the first time one Thursday, and what grew under {their} hands was {a piece}.",
        ),
        maybe(
            "{they} let it dry for a week and brushed on {a glaze} glaze.",
            "When it was as hard as leather, {they} dipped it into a bucket of {glaze} glaze.",
            "It was dried, smoothed and covered with {a glaze} glaze.",
        ),
        step(
            "The kiln was lit in the evening, and {they} hardly slept.",
            "With the work of the whole class around it, the {piece} went into the kiln overnight.",
            "{they} put it in the middle of the kiln, shut the heavy door and turned up the heat.",
        ),
        step(
            "When the door was opened the next day, a crack ran from the rim to the foot.",
            "Out of the cooled oven {they} lifted the {piece} in two halves.",
            "It had burst in the fire, and the pieces lay on the shelf.",
        ),
        maybe(
            "{they} held the bits together as if that could heal them.",
            "The rest of the class found something to do at the other end of the room.",
            '"Every potter has a shelf of those," said a man with clay in his beard.',
        ),
        step(
            "{they} was on {their} way to the dustbin when the teacher, {friend}, held {them} back.",
            "{friend}, who taught the class, took the broken parts out of the rubbish again.",
            '"Do not throw that away," said {friend}, the teacher, and cleared a table.',
        ),
        step(
            "{friend.they} showed {them} how to join the broken edges with lacquer and {metal} dust.",
            "With a fine brush and glue full of {metal} powder, the two of them put it together.",
            "There was a Japanese way, {friend.they} said, of mending such a break with {metal}.",
        ),
        step(
            "A shining {metal} line now went across the {glaze}, like a river on a map.",
            "The seam of {metal} was the loveliest thing about the finished {piece}.",
            "When the {metal} had set, nobody would have called it broken any longer.",
        ),
        maybe(
            "In the exhibition three visitors wanted to buy it.",
            "The student at the next wheel dropped her own work on purpose.",
            "{hero} was offered a good sum for it and said no.",
        ),
    ),
    plot(
        "wedding dress",
        {
            "material": ("silk", "lace", "taffeta", "satin"),
            "nail": ("a nail", "a door handle", "a rose bush", "a splinter"),
            "flower": ("lilies", "ivy leaves", "daisies", "butterflies", "swallows"),
        },
        step(
            "{hero} was a tailor, and {their} sister had asked {them} for a wedding dress of white {material}.",
            "{hero} had promised to sew a wedding dress of white {material} for {their} sister.",
            "For {their} sister's wedding {hero}, who owned a sewing machine, was making a dress of white {material}.",
        ),
        maybe(
            "For two months {they} measured, then cut, then stitched.",
            "It took nine fittings, eleven yards of cloth and most of {their} nights.",
            "By lamplight {they} sewed seam after seam and pricked every finger {they} had.",
        ),
        maybe(
            "The evening before the wedding {they} snipped off the last thread.",
            "The bride turned in front of the mirror and found nothing to complain about.",
            "When it was done it hung in the door frame like a ghost, and nobody was allowed to go near it.",
        ),
        step(
            "On the morning of the wedding, as the bride came down the stairs in it, it caught on {nail}.",
            "An hour before the ceremony the sister swept past {nail}, and there was a sound of tearing.",
            "The bride was wearing it and about to leave for the church when she brushed against {nail}.",
        ),
        step(
            "The {material} was ripped from the hip to the hem.",
            "A hole as long as an arm gaped in the white skirt.",
            "Everybody stared at the long tear in the side.",
        ),
        maybe(
            "The sister burst into tears, and their mother called for safety pins.",
            "An aunt fainted, and the bride said that the wedding was off.",
            '"That is the end," sobbed the bride, while the bridesmaids ran about with tape.',
        ),
        step(
            "{hero} alone stayed calm, knelt down with needle and thread and told her to stand still.",
            '"Give me twenty minutes," said {hero}, and threaded a needle.',
            "{they} took a needle from the lining of {their} jacket and went to work on the spot.",
        ),
        step(
            "Over the damage {they} embroidered a row of {flower}, so fast that one could hardly follow.",
            "Stitch by stitch {flower} grew along the rip until it could not be seen any more.",
            "{they} closed it up and hid the seam under {flower} of silver thread.",
        ),
        maybe(
            "At the reception all the guests admired the {flower}, and three of them asked for the pattern.",
            "The bride said afterwards that she had never liked the plain skirt anyway.",
            "In the photographs she stands so that the {flower} face the camera.",
        ),
    ),
    plot(
        "old photograph",
        {
            "camera": ("box camera", "folding camera", "plate camera", "rangefinder"),
            "market": ("a flea market", "a jumble sale", "an antique shop", "a charity shop"),
            "scene": ("a family on a jetty", "a woman with a tandem", "a football team", "twins in sailor suits"),
        },
        step(
            "At {market} {hero} bought an old {camera}.",
            "{hero} could not resist an old {camera} that {they} saw at {market}.",
            "For the price of a sandwich {hero} became the owner of an old {camera} at {market}.",
        ),
        step(
            "When {they} opened the back, there was still a film in it.",
            "While cleaning it, {they} noticed that the film had never been taken out.",
            "It rattled, because inside sat a roll of film that somebody had forgotten.",
        ),
        step(
            "{they} shut {themself} up in the bathroom and developed it in a soup plate.",
            "{friend}, who had a darkroom, helped {them} to develop the roll.",
            "In the dark, with borrowed chemicals, {they} bathed the strip and hung it on the shower rail.",
        ),
        maybe(
            "Eleven of the twelve pictures were as black as night.",
            "Most of it had been spoilt by light and time.",
            "The beginning of the strip was nothing but fog.",
        ),
        step(
            "On the only picture that had survived, {scene} smiled at {them}.",
            "One negative was clear, and it showed {scene}.",
            "Out of the grey, on the last frame, came {scene}.",
        ),
        step(
            "In the background one could read the name of a boat hire.",
            "{they} took a lens and deciphered a shop sign behind them: a boat hire.",
            "Far back, above their heads, hung a board with the name of a boat hire.",
        ),
        step(
            "{hero} looked the name up and wrote to the present owner, enclosing a print.",
            "The firm still existed, so {they} sent it a copy with a letter.",
            "{they} found out that the business was run by the same family, and posted a print to them.",
        ),
        step(
            "A week later an old voice on the telephone said: that was the best day of my childhood.",
            "The answer came by return of post, from somebody who had been standing next to the photographer.",
            "It reached the very person who had pressed the button that day, now ninety years old.",
        ),
        maybe(
            "The print hangs in the boat house, and {hero} may row there for nothing.",
            "{hero} offered to give the {camera} back, but was told to use it.",
            "They met on the jetty in the picture, and {they} took another one from the same spot.",
        ),
    ),
    plot(
        "broken glasses",
        {
            "occasion": ("a speech at a retirement party", "a lecture on glaciers", "a reading in a bookshop"),
            "culprit": ("a toddler", "a waiter", "a cyclist", "a large dog"),
            "tool": ("a plaster", "a strip of tape", "chewing gum", "a hair clip"),
        },
        step(
            "{hero}, who was as blind as a mole without glasses, was going to give {occasion}.",
            "{hero} was to give {occasion} and had written every word of it on cards.",
            "For {occasion}, {hero} had filled twenty cards in tiny handwriting.",
        ),
        step(
            "On the way in {culprit} ran into {them}, and {their} glasses fell on the ground.",
            "At the entrance {they} bumped into {culprit}, and {their} glasses flew off.",
            "{their} glasses were knocked off {their} nose at the door by {culprit}.",
        ),
        step(
            "There was a crunch under {their} own shoe.",
            "{they} took a step to look for them and heard them break.",
            "Before {they} could bend down, {they} had trodden on them {themself}.",
        ),
        maybe(
            "With {tool} {they} fixed the bridge, but one lens had splintered and the other was lost.",
            "{they} stuck the frame together with {tool}, which left nothing to look through.",
            "Somebody offered {tool}, but it was far too late for that.",
        ),
        step(
            "On the platform {they} held the cards up to {their} nose and saw only grey stripes.",
            "When {they} stood at the microphone, the writing on the cards swam before {their} eyes.",
            "{they} was led to the lectern, where the cards might as well have been empty.",
        ),
        step(
            "So {hero} laid them aside and simply began to talk.",
            "{they} put them into {their} pocket and told the audience what {they} could remember.",
            "After a painful pause {they} let go of them and spoke from the heart.",
        ),
        maybe(
            "{they} told stories that were on no card, and people leaned forward to listen.",
            "As the faces were a blur, {they} was not nervous at all, and one joke led to another.",
            "Without the paper {their} voice came alive, and there was laughter even in the back row.",
        ),
        step(
            "Many said afterwards that they had never heard {them} so good.",
            "The clapping lasted for minutes, and {they} bowed in the direction of a coat stand.",
            "When it was over, the organiser asked who had coached {them}.",
        ),
        maybe(
            "{their} new pair came the next day, and for talks {they} left it in its case.",
            "{hero} went home on a stranger's arm, beaming at every lamp post.",
            "The optician wondered why {they} was not in a greater hurry.",
        ),
    ),
)
