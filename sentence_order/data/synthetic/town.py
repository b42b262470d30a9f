"""Plots about neighbours, letters, markets and other things that people share."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "found wallet",
        {
            "place": ("a park bench", "the seat of a tram", "the counter of a bakery", "the steps of the museum"),
            "sum": ("three hundred", "four hundred", "two hundred", "five hundred"),
            "clue": ("a library card", "a dentist's bill", "a donor card", "a fishing permit"),
            "need": ("the rent", "an operation", "a new boiler", "the school trip"),
        },
        step(
            "{hero} sat down on the way home and noticed that there was a wallet lying on {place}.",
            "On {place} {hero} saw a wallet that nobody seemed to own.",
            "Somebody had left a wallet on {place}, and {hero}, who came by, picked it up.",
        ),
        step(
            "Inside were {sum} pounds in notes.",
            "{they} looked into it, counted {sum} pounds and snapped it shut.",
            "It was thick with money, {sum} pounds as {they} found out behind a tree.",
        ),
        maybe(
            "With that {they} could have paid for a great deal of what was broken at home.",
            "For the length of one street {they} was rich.",
            "{their} own purse held two coins and a button.",
        ),
        step(
            "Behind the notes there was {clue} with the name {friend} on it.",
            "As {they} searched it for an address, {clue} fell out, made out to a certain {friend}.",
            "The only other thing in it was {clue}, and it told {them} that the owner was called {friend}.",
        ),
        maybe(
            "The address led {them} to the top floor of a house without a lift.",
            "{they} asked {their} way to the street that was printed on it and climbed up to the fifth floor.",
            "With its help {they} found the house, and after ninety-six stairs the right door.",
        ),
        step(
            "{friend} opened with red eyes, because {friend.they} had been looking for it all day.",
            "A tired face looked out: it was {friend}, who took the wallet and had to sit down on the doormat.",
            "When {friend} saw what {hero} was holding, {friend.they} could not speak.",
        ),
        step(
            "The money was for {need}, {friend.they} explained, and offered {them} half of it.",
            "It had been saved for {need}, and now {friend.they} wanted to give {them} a reward.",
            '"That was for {need}," {friend.they} said, pulling out a note, which {hero} pushed back.',
        ),
        maybe(
            "{they} accepted a cup of tea, and it got late.",
            "In the end {hero} let {friend.them} buy an ice cream, the largest on the menu.",
            "Two weeks later {they} lost {their} keys, and it was {friend} who found them.",
        ),
    ),
    plot(
        "overdue book",
        {
            "book": ("an atlas", "a book of fairy tales", "a cookery book", "a novel about pirates", "a bird guide"),
            "relative": ("grandfather", "great-uncle", "father"),
            "years": ("forty", "fifty", "sixty", "thirty-five"),
        },
        step(
            "Clearing out {their} {relative}'s house, {hero} came across {book} with a library stamp in it.",
            "Among the things that {hero}'s {relative} had left behind was {book} from the town library.",
            "Behind {their} {relative}'s piano {hero} found {book} that belonged to the library.",
        ),
        step(
            "According to the slip it should have been returned {years} years before.",
            "It was overdue by {years} years, as the date on the last page showed.",
            "{they} turned to the slip at the back and saw that it had been due {years} years ago.",
        ),
        maybe(
            "For fun {they} worked out the fine: it would have bought a small car.",
            "At ten pence a day, {they} reckoned, that came to more than {they} had in the bank.",
            "{they} thought of posting it through the letter box at night.",
        ),
        step(
            "With a bad conscience {they} took it to the library and laid it on the desk.",
            "{they} dusted it, combed {their} hair, and went to the library to confess.",
            "Next morning {hero} stood at the library desk, held it out and apologised for the family.",
        ),
        step(
            "The librarian turned it over in his hands and called for the director, a lady of eighty.",
            "The young man at the desk had never seen such a stamp and fetched the director, a white-haired lady.",
            "Nobody there knew what to do, and so an old lady was brought up from the archive.",
        ),
        step(
            "It was the only volume that had survived, she said, because all the others had burnt in a fire.",
            "She grew quite pale: a flood had destroyed every other book of that time.",
            "The old lady began to cry, for nothing else was left of the library before the great fire.",
        ),
        step(
            "Instead of a fine {hero} got a bunch of flowers and a card for life.",
            "There was no talk of a fine any more, and a photographer asked {them} to smile.",
            "{they} was forgiven on the spot and made an honorary member.",
        ),
        maybe(
            "Today it lies in a glass case, opened at the page with the stain from {their} {relative}'s pipe.",
            "The book was put behind glass, and it may never be borrowed again.",
            "At home {they} went through the remaining boxes rather more carefully.",
        ),
    ),
    plot(
        "misdelivered letter",
        {
            "number, other": (("seven", "seventeen"), ("four", "fourteen"), ("nine", "nineteen"), ("six", "sixteen")),
            "street": ("Garden Road", "Bridge Street", "Chestnut Avenue", "Canal Street"),
            "delay": ("eleven years", "nine years", "four years", "six years"),
            "question": ("to come with her to Argentina", "to marry her", "to forgive her", "to open a shop with her"),
        },
        step(
            "{hero} moved into number {number}, {street}, and pulled up the old floor in the hall.",
            "While {they} was laying new boards in the hall of number {number}, {street}, {hero} lifted the doormat.",
            "Behind the letter flap of {their} new house, number {number}, {street}, {hero} was scraping off paint.",
        ),
        step(
            "There {they} found a sealed letter that had slipped into a gap {delay} earlier.",
            "In a crack there was an envelope, unopened, with a postmark {delay} old.",
            "A yellowed letter came to light, which must have been stuck there for {delay}.",
        ),
        step(
            "It was addressed to a man at number {other}, not number {number}.",
            "The postman of that time had misread the address, for it said number {other}.",
            "{they} wiped off the dust and could make out the number of the house: {other}.",
        ),
        maybe(
            "{their} first thought was to hold it over the steam of the kettle.",
            "It lay on the hall table for a day, because {they} felt shy.",
            "{hero} put on {their} coat, took it off again, and put it on.",
        ),
        step(
            "{they} walked down the road, rang the bell there, and an old man in slippers opened.",
            "At number {other} an old man still had the same name on his door, and {they} handed it to him.",
            "{they} took it across to where it belonged, to an old man who was pruning his roses.",
        ),
        maybe(
            "He recognised the handwriting at once and tore it open with shaking fingers.",
            "When he saw who had sent it, he had to hold on to the gate.",
            "He sat down on the step to read it and read it three times.",
        ),
        step(
            "A woman called Rosa had asked him in it {question}, and he had believed that she never wrote.",
            '"She asked me {question}," he said, "and I thought that she had forgotten me."',
            "It was from the love of his life, who had begged him {question}, and had waited for an answer.",
        ),
        maybe(
            "{hero} helped him to look for her number, and it took all evening.",
            "He had no telephone, so {they} ran home to get {theirs}.",
            "He wrote a reply that same hour, and {hero} carried it to the post office {themself}.",
        ),
        maybe(
            "A month later two people in their best clothes brought {hero} a cake.",
            "That summer there were two deckchairs among his roses.",
            "She was on the next train, and the whole street stood at the windows.",
        ),
    ),
    plot(
        "market stall",
        {
            "goods": ("wooden spoons", "candles", "felt hats", "pottery bowls", "paper lanterns"),
            "rival": ("a woman with sausages", "a man with balloons", "two brothers with lemonade"),
        },
        step(
            "{hero} rented a stall at the Saturday market to sell {goods} that {they} had made {themself}.",
            "For the first time {hero} was going to sell {their} homemade {goods} at the market.",
            "All winter {hero} had made {goods}, and in May {they} took them to the market.",
        ),
        maybe(
            "{they} set out the {goods} on a white cloth at six in the morning and waited.",
            "The table was ready before the church clock struck seven, and {they} put on a smile.",
            "{they} arranged everything by size, wrote a price list and folded {their} hands.",
        ),
        step(
            "By eleven not a single customer had stopped.",
            "People walked past all morning, straight to {rival} on the other side.",
            "Hour after hour the crowd flowed by, and the only visitor had asked for the toilet.",
        ),
        maybe(
            "{they} lowered the price, crossed it out and lowered it again.",
            "{hero} tried calling out like the others, but {their} voice cracked.",
            "A dog lifted its leg against the table.",
        ),
        step(
            "To pass the time {they} got out {their} tools and began to work on a new one.",
            "Out of sheer boredom {they} started making another piece, right there on the table.",
            "{they} could not sit idle, so {they} took some material from {their} bag and set to work.",
        ),
        step(
            "A boy stopped to watch {their} hands, and his parents stopped because of him.",
            "First one child stood still in front of {them} with an open mouth, then four, then ten.",
            "A schoolgirl wanted to know how it was done, and while {they} explained, more people came up.",
        ),
        step(
            "They asked whether they could try, and {hero} showed them.",
            "Soon everyone wanted to have a go, and {they} let them.",
            "{they} handed the tools to the bystanders and guided their fingers.",
        ),
        step(
            "Each of them bought one of the {goods} afterwards, now knowing how much work it was.",
            "When the bells rang noon, there was nothing left to sell.",
            "Those who had tried it paid the full price without a murmur, and the table was bare within an hour.",
        ),
        maybe(
            "The following Saturday there was a sign on the stall: lessons.",
            "{they} packed up the tools and spent half of the takings at the other stalls.",
            "On the way home {hero} ordered twice as much material.",
        ),
    ),
    plot(
        "saved playground",
        {
            "plan": ("a car park", "an office block", "a petrol station", "a shopping centre"),
            "find": ("a rare newt", "an orchid", "a colony of bats", "a Roman wall", "a nest of stag beetles"),
            "toy": ("slide", "swing", "climbing frame", "seesaw"),
        },
        step(
            "{hero} read on a notice that the playground behind {their} house was to become {plan}.",
            "The old playground at {hero}'s corner was to make way for {plan}, a sign on the fence announced.",
            "On {their} way to work {hero} saw a sign at the playground: {plan} was to be built there.",
        ),
        maybe(
            "{they} wrote to the council and got a printed card in reply.",
            "At the town hall {they} was told that everything had been decided.",
            "{they} telephoned the council eight times and was put through to eight different people.",
        ),
        step(
            "So {hero} went from door to door and collected two thousand signatures.",
            "That made {them} angry, and {they} started a petition in every shop and at every school gate.",
            "{they} painted a banner, and two thousand people signed the list that {they} put up at the station.",
        ),
        step(
            "The councillors thanked {them} for the list and filed it away.",
            "The mayor took the signatures with a smile, and the date was not moved by a day.",
            "In the council meeting the petition was given three minutes and one yawn.",
        ),
        maybe(
            "So the diggers came and were parked along the fence.",
            "A week later the {toy} was taken down and leaned against the wall.",
            "{they} sat on the {toy} that evening and was ready to give in.",
        ),
        step(
            "The evening before the work was to begin, a girl showed {hero} what she had found there: {find}.",
            "It was a boy looking for his ball under the hedge who came to {hero} and said that he had found {find}.",
            "Two children who were playing there for one last time discovered {find} and ran to tell {hero}.",
        ),
        step(
            "{they} sent a picture of it to the university, and a professor came on the first bus.",
            "{hero} rang the museum in the middle of the night, and by eight three experts were lying on the ground.",
            "An expert whom {they} got out of bed confirmed it with a torch between his teeth.",
        ),
        step(
            "It was protected by law, and the diggers drove away again.",
            "Nothing could be built where such a thing had turned up, and so the plan was dropped.",
            "By noon there was a fence around the corner, and the building permit was withdrawn.",
        ),
        maybe(
            "The {toy} got a coat of paint, and the mayor cut a ribbon.",
            "A drawing of it, done by the children, has been the playground's emblem from that day on.",
            "{hero} was asked to stand for the council and won by two thousand votes.",
        ),
    ),
    plot(
        "choir concert",
        {
            "village": ("Oakham", "Lower Marsh", "Fernhill", "Saltby"),
            "job": ("postman", "butcher", "plumber", "baker"),
            "piece": ("a requiem", "a mass by Haydn", "three madrigals", "a cantata"),
        },
        step(
            "{hero} led a choir of nineteen sopranos and altos in {village}.",
            "In {village} {hero} had founded a choir, and there was not one bass in it.",
            "The choir that {hero} conducted in {village} was short of low voices.",
        ),
        step(
            "For the summer concert they wanted to sing {piece}, which cannot be done without a bass.",
            "{they} had set {their} heart on {piece} for the summer, and there was nobody to sing its low notes.",
            "When {they} chose {piece} for the next concert, everyone asked who was to take the bass part.",
        ),
        step(
            "An advertisement in the newspaper brought in a single reply, from a boy of nine.",
            "{they} put up posters, went to the football club, and found nobody.",
            "{hero} asked every husband in the village, and every husband had a sore throat.",
        ),
        step(
            "One morning a deep hum came up the garden path: it was the {job}, with a parcel under his arm.",
            "{they} was still in bed when somebody sang below the window, as deep as an organ: the {job}.",
            "While mending the gate for {hero}, the {job} was singing to himself, and the windows trembled.",
        ),
        maybe(
            "He turned scarlet when he noticed that somebody was listening.",
            "{they} ran out in {their} socks.",
            "{they} put a score in his hand, and he held it upside down.",
        ),
        maybe(
            "He could not read music, he said, and would never dare to stand on a stage.",
            '"Me, in a choir?" he said, and shook his head.',
            "Asked to join, the man refused three times, for he knew no notes at all.",
        ),
        step(
            "So {hero} taught him his part by ear, bar by bar, over coffee.",
            "{hero} recorded it for him, and he sang along to it on his rounds all spring.",
            "{hero} made him a bet that he could do it in a month, and they practised every evening in the kitchen.",
        ),
        step(
            "At the concert his first note made the people in the pews turn their heads.",
            "On the night he stood behind the women with closed eyes and filled the church to the rafters.",
            "In July he sang it all by heart, in a borrowed suit, and the candles flickered.",
        ),
        maybe(
            "Within a week four husbands had been cured of their sore throats.",
            "After the last bar it was the other men of the village who clapped loudest, and joined.",
            "The choir had to buy more chairs that autumn, for the back row.",
        ),
    ),
)
