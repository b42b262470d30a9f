"""Plots about jobs, offices and shops."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "jammed printer",
        {
            "paper": ("contract", "tender", "grant application", "annual report"),
            "hour": ("five", "four", "six", "noon"),
            "culprit": ("a paper clip", "a staple", "a hairpin", "the cap of a pen"),
            "helper": ("cleaner", "trainee", "window cleaner", "canteen cook"),
        },
        step(
            "{hero} had until {hour} to hand in {a paper}, and all that was left to do was to print it.",
            "{a paper} of two hundred pages lay ready on {hero}'s computer, to be delivered on paper by {hour}.",
            "With an hour to go until {hour}, {hero} sent {a paper} to the office printer.",
        ),
        step(
            "The machine swallowed eleven sheets, crunched, and showed a red light.",
            "After the eleventh page the printer groaned and stopped.",
            "Something in the printer went crack on page eleven, and a red lamp began to blink.",
        ),
        maybe(
            "{they} opened every flap and pulled at a corner of paper until it tore.",
            "{they} reached into its insides and brought out half a sheet, with burnt fingertips.",
            "{hero} removed the tray, shook it and put it back, which made the crunching louder.",
        ),
        maybe(
            "The repair service could send someone on Thursday.",
            "A recorded voice at the repair service told {them} that {their} call was important.",
            "The number of the repair service, printed on the lid, was no longer in use.",
        ),
        step(
            "{a helper} who was passing by with a cup of tea asked whether {they} would mind.",
            "The curses brought {a helper} into the room, who bent down and looked in sideways.",
            '"May I?" said {a helper}, setting down a bucket.',
        ),
        step(
            "Two fingers went in behind the roller and came out with {culprit}.",
            "With a pair of eyebrow tweezers the {helper} drew {culprit} from between the rollers.",
            "A tap on the side, a twist of the wheel, and {culprit} dropped onto the carpet.",
        ),
        step(
            "The light turned green, and the remaining pages poured out.",
            "From then on the {paper} flowed into the tray, page after page.",
            "The printer purred, and in ten minutes the pile was complete.",
        ),
        maybe(
            "{hero} ran up three flights of stairs and put it on the desk as the clock struck {hour}.",
            "It was stamped one minute before {hour}, still warm.",
            "{they} delivered it in time and bought the {helper} the largest cake in the canteen.",
        ),
    ),
    plot(
        "server outage",
        {
            "company": ("an online bookshop", "a ticket agency", "a travel site", "a small bank", "a pizza service"),
            "hour": ("two", "three", "four", "half past one"),
            "culprit": ("backup job", "test script", "photo importer", "log collector"),
        },
        step(
            "At {hour} in the morning an alarm went off on {hero}'s phone: {company} was not reachable.",
            "{hero} was on call for {company} when the phone on the bedside table lit up at {hour} in the morning.",
            "A shrill tone woke {hero} at {hour}, because the website of {company} had gone down.",
        ),
        step(
            "{they} sat down at the kitchen table, logged in and found that the main server did not answer.",
            "With one eye open, {they} connected from the sofa and saw that the main server had frozen.",
            "On {their} laptop, still in bed, {they} could see that nothing was moving on the main server.",
        ),
        maybe(
            "{they} restarted it, and it ran for exactly one minute.",
            "A restart brought the pages back, but before {they} could shut the lid they were gone again.",
            "{hero} switched it off and on, which helped until {they} had reached the bed.",
        ),
        step(
            "So {they} read through the logs and came to a line that said the disk was full.",
            "Line by line {they} searched the logs until the words 'no space left' caught {their} eye.",
            "The logs explained why: there was not a byte of free space on the disk.",
        ),
        maybe(
            "The week before, it had been half empty.",
            "{they} rubbed {their} eyes, for the disk was the largest that money could buy.",
            "That was odd, since a new disk had been put in that spring.",
        ),
        step(
            "It was a forgotten {culprit} that had filled it, by saving a copy of itself every hour.",
            "{they} looked for the largest files and found ten thousand copies left behind by {a culprit}.",
            "Behind it all was {a culprit}, which had never once tidied up after itself.",
        ),
        step(
            "{hero} stopped the {culprit}, deleted the copies and started everything afresh.",
            "{they} threw the useless files away, switched the {culprit} off and crossed {their} fingers.",
            "With three commands {they} ended the {culprit}, made room and brought the system up.",
        ),
        maybe(
            "The first customers of the day noticed nothing.",
            "When the sun rose, orders were coming in as usual.",
            "By breakfast all the lamps on the screen were green.",
        ),
        maybe(
            "At nine {they} wrote a report and set an alarm for full disks.",
            "The team listened to {their} story in the morning meeting and voted for a warning light.",
            '"Quiet night?" asked a colleague at the coffee machine, and {hero} just yawned.',
        ),
    ),
    plot(
        "job interview",
        {
            "company": ("an insurance company", "a law firm", "a publishing house", "a bank"),
            "drink": ("tomato juice", "coffee", "cocoa", "blueberry juice"),
            "animal": ("parrot", "octopus", "walrus", "unicorn", "elephant"),
        },
        step(
            "{hero} put on a white shirt and took the train to an interview at {company}.",
            "After forty applications {hero} was invited by {company} and ironed {their} only white shirt.",
            "In a spotless white shirt {hero} set out for {company}, which had invited {them} for an interview.",
        ),
        step(
            "In a curve a passenger's {drink} landed on {their} chest.",
            "A child on the train squeezed a carton, and {drink} ran down {their} collar.",
            "One stop before {their} station {they} spilt {drink} all over {themself}.",
        ),
        maybe(
            "Rubbing at it with a wet tissue only made the stain larger.",
            "{they} turned the shirt back to front, but the stain had soaked through.",
            "{they} buttoned up {their} jacket, and the stain still showed.",
        ),
        step(
            "The one shop at the station sold souvenirs, and the one shirt in {their} size had {a animal} on it.",
            "In a kiosk at the station {hero} bought the only clean thing they had, a shirt with {a animal}.",
            "At a souvenir stand {they} got a new one, with a grinning {animal} from collar to waist.",
        ),
        step(
            "At the interview three people in grey looked at the {animal} and said nothing.",
            "{they} sat down in front of the committee, and all eyes went to the {animal}.",
            '"Is that {a animal}?" asked the head of the committee as soon as {they} had taken a seat.',
        ),
        step(
            "So {hero} told them about the {drink}, the train and the souvenirs, and did all the voices.",
            "{they} took a deep breath and described {their} journey from the first drop on.",
            '"It is this or {drink}," {they} said, and told them the whole story.',
        ),
        maybe(
            "The committee laughed until the tea had to be moved out of the way.",
            "One of the three wiped her eyes and forgot what she had meant to ask.",
            "By the end of it even the oldest of them was snorting into a handkerchief.",
        ),
        step(
            "{they} was offered the job that evening.",
            "Two days later a letter came, with a contract and a small drawing of {a animal}.",
            '"Whoever stays that calm can start on Monday," said the head, and shook {their} hand.',
        ),
        maybe(
            "On {their} first day {hero} wore it again, by popular demand.",
            "The shirt was framed later on and got a hook of its own in the entrance hall.",
            "At the office {they} was known as the {animal} long before anyone learned {their} name.",
        ),
    ),
    plot(
        "misprinted posters",
        {
            "play, typo": (
                ("Hamlet", "Omelet"),
                ("Macbeth", "Macbath"),
                ("King Lear", "King Leek"),
                ("The Seagull", "The Seagulp"),
                ("The Tempest", "The Temper"),
                ("The Cherry Orchard", "The Cheery Orchard"),
            ),
            "number": ("four hundred", "three hundred", "six hundred", "a thousand"),
            "theatre": ("town theatre", "student theatre", "open-air theatre", "amateur drama club"),
        },
        step(
            "The {theatre} ordered {number} posters for {play} from {hero}'s print shop.",
            "{hero}, a printer, was asked by the {theatre} to make {number} posters for {play}.",
            "In {hero}'s print shop a large order came in: {number} posters for {play} at the {theatre}.",
        ),
        maybe(
            "{they} set the letters late at night and started the press.",
            "The design was done in an hour, and the press ran until morning.",
            "{they} typed in the title with one hand, ate a sandwich with the other, and pressed the button.",
        ),
        maybe(
            "Two students had pasted them all over town by noon.",
            "They were collected at eight and hung on every wall by lunchtime.",
            "The bundles went out without anyone taking a second look.",
        ),
        step(
            '"What on earth is {typo}?" asked {friend}, who ran the {theatre}, on the telephone.',
            "{friend}, the director, called {them} to say that the premiere of {typo} was being announced.",
            "{friend}, who was to play the lead, stopped in front of one and read aloud: {typo}.",
        ),
        maybe(
            "{hero} looked at a copy and turned pale: the mistake was on every sheet.",
            "{they} ran to the nearest wall and saw it with {their} own eyes, in letters a foot high.",
            "When {they} checked the file, there it stood, and it was nobody's fault but {theirs}.",
        ),
        step(
            "It was too late for a second run, so {friend} decided to leave them as they were.",
            "There was neither time nor money to do it again, and {friend} told {them} to let it be.",
            "{hero} offered to print them all anew, but {friend.they} only said that opening night was tomorrow.",
        ),
        step(
            "People laughed, took photographs, and came to see what it was all about.",
            "The whole town talked about the funny title, and by evening every ticket was gone.",
            "A newspaper put a picture of it on its front page, and the box office sold out.",
        ),
        maybe(
            "For the next production {friend} ordered {number} more, with at least one mistake.",
            "Before the curtain rose, {friend} stepped forward and thanked the printer.",
            "One copy with the title {typo} has hung over {hero}'s desk ever since.",
        ),
    ),
    plot(
        "wrong delivery",
        {
            "goods": ("melons", "oranges", "pineapples", "peaches", "mangoes"),
            "shop": ("grocer's shop", "corner shop", "farm shop", "village store"),
            "sign": ("a bowling contest", "a juggling contest", "a balancing contest", "a pyramid contest"),
        },
        step(
            "{hero}, who owned {a shop}, ordered thirty {goods} for the weekend.",
            "For {their} {shop}, {hero} filled in an order form: thirty {goods}.",
            "Thirty {goods} would do, thought {hero}, and sent off the order for {their} {shop}.",
        ),
        step(
            "A lorry stopped outside, and the driver began to unload three hundred.",
            "What the lorry brought on Friday was not thirty but three hundred.",
            "On delivery day the crates reached up to the ceiling, for ten times as many had come.",
        ),
        maybe(
            "{they} checked the form and saw that {they} had written one nought too many.",
            "The fault was {theirs}: there was an extra nought on the form.",
            "The driver showed {them} the form, with a clear and curly nought that had no business there.",
        ),
        maybe(
            "The wholesaler refused to take a single one back.",
            "Returning them would have cost more than keeping them.",
            "{they} asked the driver to take some away again, but he was already reversing.",
        ),
        step(
            "Half the price brought no more customers, and a sweet smell spread from the back room.",
            "By Saturday noon {they} had sold twelve, and the first ones were going soft.",
            "However high {they} stacked them in the window, nobody wanted more than one.",
        ),
        step(
            "In the night an idea came to {hero}, and in the morning a board announced {sign}, with {goods}.",
            "{they} painted a sign that invited the whole neighbourhood to {sign}, all equipment provided.",
            "So {hero} cleared the car park and called for {sign}, in which only {goods} could be used.",
        ),
        maybe(
            "Children, grandparents and a brass band turned up to take part.",
            "Two hundred people came to compete, and each paid for what they broke.",
            "The crowd was so large that the police had to close the street.",
        ),
        step(
            "By sundown {they} had to tell the latecomers that there were no {goods} left.",
            "Not one was left over in the evening, and the till would hardly close.",
            "When it was over, {hero} swept up the peel and counted the best takings of the year.",
        ),
        maybe(
            "The order for the following summer was for three hundred as well, this time on purpose.",
            "{they} ordered three hundred again a year later, and not by mistake.",
            "It became a custom, and the mayor asked to open the second one.",
        ),
    ),
    plot(
        "night shift",
        {
            "ward": ("the eye ward", "the orthopaedic ward", "the heart ward", "the burns ward"),
            "job": ("ship's engineer", "engine driver", "trawler captain", "miller"),
            "device": ("fan", "vacuum cleaner", "hair dryer", "dehumidifier"),
        },
        step(
            "It was the first night that {hero}, a young nurse, was alone on {ward}.",
            "{hero} had just finished training as a nurse and was on {ward} for {their} first night.",
            "On {ward} the lights were dimmed, and {hero}, the new nurse, began {their} first night shift.",
        ),
        step(
            "At eleven the bell rang in room nine, where an old man asked for water.",
            "Soon the lamp over room nine went on, for an old man there wanted his pillow turned.",
            "An old man in room nine rang the bell before midnight and asked what time it was.",
        ),
        step(
            "Ten minutes later he rang once more, about the curtain, and after that about the moon.",
            "He rang again at midnight, and at half past, and at one, each time for nothing in particular.",
            "From that moment on the bell hardly stopped, though there was never anything wrong.",
        ),
        step(
            "Instead of scolding him, {hero} pulled up a chair and asked what kept him awake.",
            "At the seventh ring {hero} sat down on the edge of the bed and asked for the real reason.",
            '"What is it really?" {hero} asked him at last, and took his hand.',
        ),
        step(
            "For forty years he had been {a job}, he said, and he could not bear the silence.",
            '"It is too quiet," said the man, who had been {a job} and had always slept beside a roar.',
            "He confessed that {a job} never sleeps without the sound of machines.",
        ),
        step(
            "In the broom closet {hero} found {a device} and switched it on beside his door.",
            "The nurse thought for a while, fetched {a device} from the storeroom and let it run in the corner.",
            "{hero} went away and came back with {a device}, which {they} plugged in under the window.",
        ),
        step(
            "At its drone the old man smiled, turned to the wall and began to snore.",
            "The {device} had been humming for barely a minute when his eyes fell shut.",
            "He listened with his head on one side, murmured something about full speed ahead, and was asleep.",
        ),
        maybe(
            "No bell was heard on the ward until breakfast.",
            "The day nurse found all the patients asleep and the {device} still running.",
            "In his file {they} noted under medicines: one {device}, every evening.",
        ),
    ),
    plot(
        "unbalanced books",
        {
            "firm": ("a shipping firm", "a brewery", "a furniture maker", "a hospital", "a toy factory"),
            "amount": ("twenty-seven", "fifty-four", "sixty-three", "eighteen", "seventy-two"),
            "item": ("light bulbs", "rope", "window cleaning", "postage", "biscuits"),
        },
        step(
            "On the last day of the year {hero} was closing the books of {firm}.",
            "{hero}, the bookkeeper of {firm}, had one task left before the holidays: the yearly accounts.",
            "The yearly accounts of {firm} lay on {hero}'s desk, and {they} drew a line under the last column.",
        ),
        step(
            "The two totals differed by {amount} pounds.",
            "When {they} compared the two sides, {amount} pounds were missing.",
            "They ought to have balanced, but they were {amount} pounds apart.",
        ),
        maybe(
            "{they} added everything up a second time and got the same difference.",
            "{hero} went over each column with a pencil, from top to bottom, and the gap remained.",
            "Adding it up from below instead of from above changed nothing.",
        ),
        maybe(
            "One after another the colleagues put on their coats and wished {them} a happy new year.",
            "Outside the first rockets were going up.",
            "The boss looked in, saw {their} face and withdrew.",
        ),
        step(
            "A difference that can be divided by nine, {their} old teacher used to say, means two swapped digits.",
            "{they} noticed that the sum was a multiple of nine, which is the mark of swapped digits.",
            "Suddenly {they} remembered a rule about multiples of nine: somewhere two digits had changed places.",
        ),
        step(
            "So {they} hunted through the receipts for such a pair and came to an invoice for {item}.",
            "With that in mind {they} took up the invoices again, and the one for {item} gave itself away.",
            "Knowing what to look for, {hero} needed only minutes until {their} finger stopped at {item}.",
        ),
        step(
            "{they} corrected the entry, and both sides agreed to the penny.",
            "One stroke of the pen put the digits in the right order, and the totals were equal.",
            "With the two figures turned round, there was no gap any more.",
        ),
        maybe(
            "{hero} switched off the lamp just as the bells rang in the new year.",
            "{they} shut the ledger so loudly that the night watchman came running.",
            "On the way out {they} took one of the firm's calendars and went dancing.",
        ),
    ),
)
