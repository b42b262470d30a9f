"""Plots about getting from one place to another."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "missed train",
        {
            "city": ("Leeds", "York", "Vienna", "Lyon", "Turin", "Bristol", "Porto"),
            "relative": ("sister", "cousin", "niece"),
            "gift": ("a wrapped toaster", "a bunch of lilies", "a ribboned parcel", "a heavy vase"),
        },
        step(
            "{hero}'s {relative} was getting married in {city}, and only one train would get {them} there in time.",
            "To be at {their} {relative}'s wedding in {city}, {hero} had to catch the nine o'clock train.",
            "{hero} had a seat on an early train to {city}, where {their} {relative} was to be married that day.",
        ),
        maybe(
            "On the way to the station {their} bus got stuck behind a lorry that had broken down.",
            "The taxi to the station crawled through roadworks while {they} watched the clock.",
            "The tram that was to take {them} to the station stopped dead between two stops.",
        ),
        step(
            "{they} ran onto the platform just in time to see two red tail lights.",
            "When {they} came panting up the steps, the last carriage was rolling out of the station.",
            "Out of breath, {they} arrived at the platform and found it empty.",
        ),
        maybe(
            "According to the board, the next one would get in long after the vows.",
            "A guard shrugged and pointed to a departure three hours later.",
            "Nothing else went to {city} before the evening.",
        ),
        step(
            "An elderly woman who had missed it too saw {them} with {gift} and asked what was wrong.",
            "{hero} sat down next to an elderly woman, with {gift} on {their} knees, and poured out {their} heart.",
            '"Whose wedding is it?" asked an elderly woman on the bench, with a nod at the present in {their} arms.',
        ),
        step(
            "Her son, the old woman said, could drive them both, and ten minutes later he pulled up outside.",
            "She made one call, and soon her son's rusty car stood in front of the entrance for the two of them.",
            "On hearing the story, she telephoned her son, who came with his van and took them both along.",
        ),
        maybe(
            "On the motorway they sang to keep the engine going.",
            "All the way the old woman told {them} about her own three weddings.",
            "It rattled at every bend, but it overtook everything on the road.",
        ),
        step(
            "{hero} slipped into the last row of the church while the organ was already playing.",
            "With a minute to spare, {they} jumped out at the church door.",
            "The bride was still on the church steps when {hero} tumbled out onto the gravel.",
        ),
        maybe(
            "At dinner two chairs were added for the driver and his mother.",
            "Naturally the woman and her son had to stay for the dancing.",
            "In the photograph of the guests there are two people whom nobody in the family knows.",
        ),
    ),
    plot(
        "broken bike",
        {
            "bike": ("green racing bike", "heavy steel bicycle", "blue touring bike", "old black bicycle"),
            "office": ("the bank", "the town hall", "the hospital", "the newspaper", "the museum"),
            "treat": ("a plum cake", "a jar of honey", "a box of doughnuts", "a bottle of cider"),
        },
        step(
            "{hero} rode to work at {office} every day on {a bike}.",
            "Like every Monday, {hero} got on {a bike} and set out for {their} job at {office}.",
            "A tram ticket was too expensive for {hero}, who went to work at {office} on {a bike}.",
        ),
        step(
            "On the steepest part of the hill the chain snapped with a bang.",
            "Halfway there the pedals suddenly spun freely, and the chain lay on the road behind {them}.",
            "At a traffic light {they} pushed down hard on the pedal, and the chain broke in two.",
        ),
        maybe(
            "{they} tried to join the two ends with a paper clip, which bent at the first push.",
            "With a hairpin from the gutter {they} patched it together, and it held for three yards.",
            "{hero} knotted it with a bit of wire, got on, and heard the wire give way.",
        ),
        step(
            "There was nothing for it but to push, and {they} arrived an hour late with black hands.",
            "So {they} walked the rest of the way and left oily fingerprints on the office door.",
            "{they} had to push the thing for two miles and came in after everyone else, smeared with oil.",
        ),
        step(
            "{friend} from the next desk looked at {their} fingers and guessed what had happened.",
            "There {friend} from the post room noticed the oil and asked about it.",
            '"Chain?" asked {friend}, a new colleague, after one look at {their} hands.',
        ),
        maybe(
            "It turned out that {friend.they} had once raced in the mountains and never went anywhere without tools.",
            "{friend} had grown up above a repair shop and missed the smell of it.",
            "From under the desk {friend.they} pulled a leather roll full of pliers and spare links.",
        ),
        step(
            "In the lunch break {friend.they} knelt in the yard and fitted a new link.",
            "At noon {friend.they} went down to the bike rack and had it mended before the coffee was cold.",
            "While the others ate their sandwiches, {friend.they} riveted the two ends together again.",
        ),
        maybe(
            "The ride home that evening was smoother than it had been for years.",
            "{hero} cycled home at six without a single rattle.",
            "After work the pedals turned so lightly that {they} took the long way home along the river.",
        ),
        maybe(
            "The next morning, {treat} stood on {friend}'s chair.",
            "{friend} found {treat} on {friend.their} chair the following day.",
            "{they} brought {friend.them} {treat} and asked to be shown how it was done.",
        ),
    ),
    plot(
        "swapped suitcase",
        {
            "city": ("Lisbon", "Warsaw", "Dublin", "Athens", "Oslo", "Geneva"),
            "event": ("conference", "trade fair", "job interview", "christening"),
            "colour": ("black", "orange", "dark blue", "olive", "silver"),
            "content": ("wooden puppets", "fishing tackle", "sheet music", "baby clothes", "juggling clubs"),
        },
        step(
            "{hero} flew to {city} for {a event} and packed everything into {a colour} suitcase.",
            "For {a event} in {city}, {hero} put {their} best clothes into {a colour} suitcase and boarded a plane.",
            "{hero} landed in {city} late at night, with {a event} in the morning and {a colour} suitcase in the hold.",
        ),
        step(
            "At the baggage belt {they} grabbed the first {colour} case that came past and hurried to the taxis.",
            "Tired as {they} was, {they} pulled {a colour} case off the belt without looking at the label.",
            "Only one {colour} case was going round on the belt, so {they} took it and left the airport.",
        ),
        step(
            "In the hotel {they} opened it and stared at a heap of {content}.",
            "The zip gave way in {their} hotel room, and out fell {content}.",
            "When {they} looked for a toothbrush in {their} room, there was nothing in it but {content}.",
        ),
        maybe(
            "For a moment {they} believed that somebody was playing a joke.",
            "{they} shut it, counted to ten and opened it again, but nothing had changed.",
            "{they} sat down on the bed and wondered what to wear the next day.",
        ),
        step(
            "A tag on the handle bore the name of {friend} and a telephone number, which {they} rang.",
            "On the inside of the lid a certain {friend} had written a phone number, and {they} dialled it.",
            "Between the lining and the lid {they} discovered a card with a number and the name {friend}, and called.",
        ),
        step(
            "{friend} answered at once, because {friend.they} was sitting in another hotel with {hero}'s clothes.",
            '"You must be the one with the striped socks," said {friend}, who had opened the other case.',
            "{friend} laughed at the other end, for {friend.they} was looking at a case full of {hero}'s socks.",
        ),
        step(
            "They met halfway, under the station clock, and exchanged the two cases like spies.",
            "An hour later, on a bridge between the two hotels, both of them got their own luggage back.",
            "In a bar that was still open they handed each other the right case.",
        ),
        maybe(
            "{hero} tied a red ribbon round the handle before {they} flew home.",
            "When {hero} left {city}, there was a large yellow sticker on {their} luggage.",
            "The {event} went well, and on the flight back {they} carried everything in a rucksack.",
        ),
    ),
    plot(
        "night in a tent",
        {
            "water": ("lake", "river", "reservoir", "bay"),
            "shelter": ("barn", "boathouse", "chapel", "hay shed"),
            "tree": ("birch", "willow", "alder", "old oak", "pine"),
        },
        step(
            "On a meadow by the {water}, {hero} unrolled a borrowed tent, swore, and then pitched it.",
            "On the first day of {their} holiday, {hero} put up a tent at the edge of {a water}.",
            "A grassy spot near the {water} seemed perfect to {hero}, who had brought a tent.",
        ),
        maybe(
            "It was so warm that {they} did not bother with the last four pegs.",
            "{they} cooked beans on a little stove and watched the sun go down.",
            "{they} hung {their} socks on the guy rope and crawled inside.",
        ),
        step(
            "Around midnight a rumble woke {them}, and the canvas began to flap.",
            "{they} had been asleep for an hour when thunder rolled over the {water}.",
            "In the dark the wind got up, and the first heavy drops drummed on the roof.",
        ),
        step(
            "{they} clung to the pole with both hands while the storm pulled at it.",
            "Kneeling in the middle, {hero} tried to hold everything down with {their} own weight.",
            "{they} piled {their} rucksack and {their} boots on the corners to keep them on the ground.",
        ),
        step(
            "One gust was enough: the pole cracked and the tent took off into the night.",
            "The pole broke all the same, and the canvas was torn out of {their} hands.",
            "It was no use, because a squall lifted the whole tent and carried it away.",
        ),
        step(
            "Barefoot in the rain {they} ran across the field to {a shelter}.",
            "{they} remembered {a shelter} at the end of the path and stumbled towards it, wet through.",
            "A flash of lightning showed {them} {a shelter}, and {they} sprinted for the door.",
        ),
        maybe(
            "There {they} lay between two sacks and waited for the day.",
            "Inside it smelled of hay, and {they} shared the dry corner with a goat.",
            "{hero} wrung {their} clothes out, rolled up on the boards and slept in spite of everything.",
        ),
        step(
            "At sunrise {they} found the tent in the top of {a tree}, spread out like a flag.",
            "The tent was hanging from {a tree} when {they} came out in the morning.",
            "By daylight the place looked peaceful, except that a tent was dangling from {a tree}.",
        ),
        maybe(
            "A boy from the farm climbed up for it and would take nothing but a chocolate bar.",
            "{they} left it up there and booked a room with a view of the {water}.",
            "It took {them} until noon to shake it down with a fishing rod.",
        ),
    ),
    plot(
        "fog on the ridge",
        {
            "animal, animals": (("goat", "goats"), ("sheep", "sheep"), ("cow", "cows")),
            "peak": ("the Hawk's Tooth", "the Grey Sister", "the Saddle Peak", "the Old Miller"),
            "meal": ("barley soup", "bread and cheese", "hot milk", "dumplings"),
        },
        step(
            "{hero} set off at dawn to climb {peak} alone.",
            "The sky was cloudless when {hero} started up the path to {peak}.",
            "Everyone in the valley had told {hero} to see the view from {peak}, and {they} left before breakfast.",
        ),
        step(
            "{they} had just reached the ridge when a wall of fog rolled over it.",
            "High on the ridge the air turned white, and soon {they} could not see {their} own boots.",
            "A bank of cloud crept up from behind, and just below the top it swallowed {them}.",
        ),
        maybe(
            "{they} turned back, but after a hundred steps there was no path any more.",
            "Looking for the way down, {they} passed the same crooked rock three times.",
            "The painted marks on the stones had vanished, and every direction looked alike to {them}.",
        ),
        maybe(
            "{their} phone showed a map without a single line on it.",
            "{they} shouted, and the fog swallowed that too.",
            "{hero} ate {their} last apple and tried not to think of the cliffs.",
        ),
        step(
            "Somewhere to the left, faintly, a bell was ringing.",
            "In the silence {they} heard a bell, the kind that {animals} wear round their necks.",
            "A clanking sound came out of the whiteness, stopped, and came again.",
        ),
        step(
            "{they} went towards it on hands and knees until {they} bumped into a warm, wet {animal}.",
            "Step by step {they} felt {their} way to the sound and found a whole herd of {animals}.",
            "It belonged to {a animal}, which looked {them} over and trotted off with {them} at its heels.",
        ),
        step(
            "The {animals} knew the way home, and behind them {they} came to a hut with a lit window.",
            "Following the herd, {hero} came to a fence, a gate and the door of a hut.",
            "Where the {animals} finally lay down, there was a hut, and smoke was rising from its chimney.",
        ),
        maybe(
            "The herdsman put a bowl of {meal} in front of {them} before asking any questions.",
            "An old herdswoman opened, laughed, and made room for {them} beside the stove.",
            "{they} was given {meal} and a blanket, and not allowed to leave before morning.",
        ),
    ),
    plot(
        "expired passport",
        {
            "country": ("Canada", "Japan", "Morocco", "Iceland", "Brazil", "India"),
            "reason": ("a month's holiday", "a new job", "a hiking tour", "a language course"),
            "colour": ("green", "purple", "yellow", "pink"),
        },
        step(
            "{hero} stood at the check-in desk, ready to fly to {country} for {reason}.",
            "The day had come for {hero} to leave for {country}, and {they} was at the airport far too early.",
            "With a ticket to {country} in {their} hand, {hero} joined a queue at the airport, dreaming of {reason}.",
        ),
        step(
            "The clerk opened {their} passport, frowned, and turned it round: it had run out the day before.",
            '"This passport expired yesterday," said the man behind the desk.',
            "A woman in uniform tapped the date in {their} passport, which was not valid any longer.",
        ),
        maybe(
            "{they} read the date three times, as if it might still improve.",
            "{hero} felt {their} ears grow hot while people behind {them} began to whisper.",
            "Begging did not help, and crying did not either.",
        ),
        step(
            "There was an office in town that issued new ones within the day, so {hero} jumped into a taxi.",
            "{they} changed the booking to the evening flight and took a taxi to the passport office.",
            "A guard mentioned an emergency counter at the town hall, and {they} ran for a cab.",
        ),
        step(
            "At the counter they wanted a photo, and the only machine stood two streets away.",
            "After an hour in line {they} was told that the form needed a photograph.",
            "The official there pushed the form back, because it lacked a picture.",
        ),
        step(
            "The booth around the corner took one of {them} with shut eyes and {colour} light on {their} nose.",
            "In a booth outside a supermarket {they} got four pictures, in all of which {they} looked like a thief.",
            "{they} squeezed into a photo booth, sneezed at the flash, and had no coins for a second try.",
        ),
        maybe(
            "Nobody objected to the ghastly picture.",
            "The official looked at it, looked at {them}, and bit his lip.",
            '"I have seen worse," said the official and stamped the form.',
        ),
        step(
            "With ink still drying on the new document, {they} caught the last flight of the day.",
            "{they} got the passport at five and {their} seat on the plane at seven.",
            "Just before the gate closed that night, {hero} came running with the new passport in {their} teeth.",
        ),
        maybe(
            "At the border in {country} an officer laughed so hard at the photo that she called her colleagues.",
            "For the next ten years {they} had to travel with that face.",
            "On landing in {country} {they} put a reminder into {their} calendar, ten years ahead.",
        ),
    ),
    plot(
        "wrong bus",
        {
            "city": ("Naples", "Prague", "Seville", "Cork", "Ghent"),
            "sight": ("cathedral", "castle", "opera house", "botanical garden"),
            "line, wrong": (("twelve", "twenty-one"), ("sixteen", "sixty"), ("four", "forty"), ("seven", "seventeen")),
            "find": ("a ceramics workshop", "a tiny bakery", "a puppet theatre", "a beekeeper's garden"),
        },
        step(
            "{hero} had a single day in {city} and wanted to spend it at the famous {sight}.",
            "The guidebook sent {hero}, who was in {city} for one day, straight to the {sight}.",
            "On {their} only free day in {city}, {hero} meant to visit the {sight}.",
        ),
        step(
            "To get there {they} was to take bus number {line}, but in the crowd {they} got on the {wrong}.",
            "The porter had said bus {line}, and {they}, half asleep, boarded the {wrong}.",
            "{they} mixed up the numbers and climbed into bus {wrong} instead of bus {line}.",
        ),
        maybe(
            "It was comfortable, the sun was shining through the window, and {they} nodded off.",
            "{they} leafed through the guidebook and did not look up for half an hour.",
            "A woman with a parrot on her arm sat down beside {them}, and they began to talk.",
        ),
        step(
            "The houses grew smaller, the fields began, and the driver switched off the engine: last stop.",
            '"Last stop," the driver called, and outside there was nothing but a dusty village.',
            "{they} was the only passenger when the driver stopped in a village square and opened his newspaper.",
        ),
        maybe(
            "No bus would go back for three hours.",
            "According to the timetable on the pole, {they} would be there until four o'clock.",
            "He would return to town in the afternoon, he said, and not a minute earlier.",
        ),
        step(
            "For want of anything better, {hero} strolled down a lane and came upon {find}.",
            "{they} wandered off with {their} hands in {their} pockets, and behind a yellow gate there was {find}.",
            "Bored, {they} followed the sound of laughter round the corner, and it led to {find}.",
        ),
        step(
            "The owner waved {them} in, showed {them} every corner of it and would not let {them} go without lunch.",
            "An old couple ran the place, and they spent the whole afternoon explaining their craft to {them}.",
            "Someone put an apron on {them}, and before long {they} was helping as if {they} belonged there.",
        ),
        maybe(
            "{they} almost missed the bus back, and the {sight} was closed when it arrived.",
            "When the horn sounded in the square, {hero} would rather have stayed.",
            "{their} photographs of {city} show no {sight}, only a village and a row of smiling strangers.",
        ),
    ),
)
