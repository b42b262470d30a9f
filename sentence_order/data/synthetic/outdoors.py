"""Plots about gardens, sports, weather and water."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "tomato plants",
        {
            "crop": ("tomatoes", "peppers", "aubergines", "cucumbers"),
            "place": ("balcony", "windowsill", "roof terrace", "fire escape"),
            "music": ("opera", "brass bands", "polkas", "the evening news"),
        },
        step(
            "{hero} sowed {crop} in yoghurt pots, although the {place} lay in the shade.",
            "In March {hero} pressed a packet of seeds into a row of pots on the {place}, hoping for {crop}.",
            "{hero} dreamed of having {crop} of {their} own and started with a packet of seeds on the {place}.",
        ),
        maybe(
            "For three weeks nothing happened, until a green thread poked through the soil.",
            "{they} had almost thrown the pots away when something tiny and green appeared.",
            "After many days of staring at bare earth, {they} saw the first two leaves.",
        ),
        step(
            "By June the plants were as tall as {hero} and full of yellow flowers.",
            "They grew and grew, were tied to broomsticks, and came into bloom in the early summer.",
            "With sticks and string {they} kept them upright, and one morning they were covered with blossoms.",
        ),
        step(
            "But the flowers withered and dropped, one after another.",
            "Not one of the blossoms turned into a fruit.",
            "The blossoms fell off, and behind them there was nothing.",
        ),
        step(
            "An old gardener on the ground floor said that bees never came up that high.",
            '"No insects, no harvest," said a neighbour who had a garden and pointed at the clean, empty air.',
            "{they} asked at the nursery, and they explained that so high up there were no bees to do the work.",
        ),
        step(
            "So {hero} took a paintbrush and dusted every flower by hand.",
            "With a soft brush {they} went from bloom to bloom, buzzing under {their} breath.",
            "From that day on {they} did the bees' job {themself}, with a cotton bud.",
        ),
        maybe(
            "The people in the flat opposite thought that {they} had lost {their} mind.",
            "{they} did it at sunrise, when nobody could see {them} from the street.",
            "To be on the safe side {they} also played them {music}.",
        ),
        step(
            "In August {they} gave {crop} away in bags, because there were far too many.",
            "Within a fortnight small green fruits were swelling on all the stems.",
            "The harvest was so rich that the stems bent under it and {they} had to buy more broomsticks.",
        ),
    ),
    plot(
        "first marathon",
        {
            "city": ("Rotterdam", "Hamburg", "Milan", "Glasgow", "Krakow"),
            "months": ("six months", "five months", "a year", "eight months"),
            "costume": ("banana", "lobster", "telephone box", "giant carrot", "octopus"),
        },
        step(
            "{hero} had bet that {they} could run the marathon in {city}.",
            "In a weak moment {hero} signed up for the marathon in {city}, having never run farther than to the bus.",
            "A colleague laughed at {hero}'s stomach, and that evening {they} entered for the marathon in {city}.",
        ),
        maybe(
            "{they} trained for {months}, in rain and in darkness.",
            "Round the park {they} went every morning for {months}, at first walking, later almost flying.",
            "{months} of early mornings and two pairs of worn-out shoes followed.",
        ),
        step(
            "On the big day {they} stood among nine thousand runners and could hear {their} own heart.",
            "The starting gun was fired, and {they} was carried off by a river of runners.",
            "With a number pinned to {their} chest, {they} crossed the starting line at last.",
        ),
        maybe(
            "The first half was pure joy.",
            "For ten miles {they} chatted, waved and felt light as a feather.",
            "{they} passed the halfway mark far too fast and was proud of it.",
        ),
        step(
            "At mile twenty {their} legs turned to wood, and {they} sat down on the kerb.",
            "Six miles from the end {they} got a cramp so bad that {they} could only hobble to the side.",
            "Shortly after mile twenty nothing worked any more, and {hero} leaned against a lamp post.",
        ),
        step(
            "A runner dressed as {a costume} stopped and held out a hand.",
            '"You are not going to let {a costume} beat you, are you?" said a costumed runner and pulled {them} up.',
            "Someone who had dressed up as {a costume} came along, took {them} by the elbow and said: walk with me.",
        ),
        maybe(
            "They did the rest together, walking uphill and jogging downhill.",
            "From lamp post to lamp post, side by side, the odd couple went on.",
            "Mile by mile the stranger talked to {them} about anything except running.",
        ),
        step(
            "{hero} crossed the finishing line in five hours and forty minutes, arm in arm with the {costume}.",
            "They were among the last at the finish, and {they} cried as the medal was hung round {their} neck.",
            "When the finish came into view, the two of them held hands and ran.",
        ),
        maybe(
            "{they} has never found out who was inside.",
            "The bet was won, and {hero} spent the money on foot baths.",
            "A photo of the two, with medals, hangs over {hero}'s sofa.",
        ),
    ),
    plot(
        "homemade kite",
        {
            "material": ("an old silk shirt", "a shower curtain", "a torn umbrella", "a striped bedsheet"),
            "figure": ("a dragon", "a stingray", "a phoenix", "a bat"),
            "trap": ("the church weathercock", "the top of a poplar", "a flagpole", "the sails of the windmill"),
        },
        step(
            "Out of {material} and some bamboo, {hero} was making a kite in the shape of {figure}.",
            "{hero} cut up {material} and sewed a kite that looked like {figure}.",
            "A kite that looked like {figure} was what {hero} had in mind as {they} took scissors to {material}.",
        ),
        step(
            "When the glue had dried, {they} carried it up the hill, but there was not a breath of wind.",
            "As soon as it was done {they} ran out to the meadow with it, only to find that no leaf was stirring.",
            "For the maiden flight {they} climbed the dike, where the air stood still.",
        ),
        step(
            "{they} lay down in the grass to wait and was woken by a gust in {their} hair.",
            "Towards evening a breeze sprang up at last, and {they} let out the string.",
            "Just as {they} was packing up, the grass began to bend and the wind came.",
        ),
        step(
            "It rose, higher than the swallows, and pulled so hard that the string sang.",
            "Up it went with a hiss, until it was only a spot in the sky.",
            "The thing leapt out of {their} hands and climbed until the whole reel had run off.",
        ),
        step(
            "With a twang the string broke.",
            "At its highest point the line snapped.",
            "One jerk was too strong for the string, and a loose end fluttered down to {them}.",
        ),
        step(
            "The kite tumbled over the roofs and got caught on {trap}.",
            "Reeling like a drunkard, it drifted off and landed on {trap}.",
            "{hero} ran after it for a mile, until it hung fast on {trap}.",
        ),
        maybe(
            "A crow was pecking at its tail.",
            "From below one would have thought that {figure} had settled there.",
            "People put their heads back and pointed.",
        ),
        step(
            "The chimney sweep, who was not afraid of heights, brought it down in return for a ride.",
            "A roofer who was having supper nearby fetched it for {them} with a hook.",
            "{they} threw stones with a thread tied to them until one went round the frame and it slid down.",
        ),
        maybe(
            "{they} patched it up and bought a string that was meant for sharks.",
            "The next time {they} flew it, it was on the end of a washing line.",
            "It has hung from the ceiling of {their} room ever since, safe from every wind.",
        ),
    ),
    plot(
        "metal detector",
        {
            "beach": ("the beach", "the dunes", "a river bank", "a fallow field"),
            "junk": ("bottle caps", "rusty nails", "tent pegs", "tin cans"),
            "ring": ("a gold ring", "a silver ring", "a wedding ring", "a signet ring"),
            "word": ("For ever, Alma", "Yours, Conrad", "To Lotte from Emil", "Until tomorrow, June"),
        },
        step(
            "{hero} had been given a metal detector and went out to {beach} with it on the same day.",
            "With a metal detector from a flea market, {hero} walked up and down {beach}.",
            "Early one Sunday {hero} was sweeping {beach} with a borrowed metal detector.",
        ),
        step(
            "For hours {they} dug up nothing but {junk}.",
            "Every beep turned out to be {junk}.",
            "{their} bag filled up with {junk}, and {their} back began to ache.",
        ),
        step(
            "{they} was about to give up when it beeped once more, high and clear.",
            "On {their} way back to the car it suddenly gave a shriek that {they} had not heard before.",
            '"One last hole," {they} said to {themself} when it beeped again.',
        ),
        step(
            "A hand's breadth down, in the wet earth, lay {ring}.",
            "{they} scraped the earth aside with {their} fingers and saw {ring}.",
            "What {they} washed the mud off this time was {ring}.",
        ),
        step(
            'On the inside somebody had engraved "{word}" and a date from sixty years ago.',
            'Under a magnifying glass {they} could read what was engraved in it: "{word}".',
            "There was writing in it, almost rubbed away: {word}.",
        ),
        step(
            "{they} put a notice in the newspaper, without giving away the words.",
            "Selling it was out of the question, so {they} asked on the local radio who had lost it.",
            "{hero} took it to the town archive, where they wrote an article about the find.",
        ),
        maybe(
            "Four people claimed it, and none of them knew the inscription.",
            "Weeks passed, and {they} wore it round {their} neck so as not to lose it.",
            "A jeweller offered {them} a good price in the meantime.",
        ),
        step(
            "One day an old lady rang the bell and recited the inscription by heart.",
            "From a home for the elderly came a letter in shaky writing, which quoted the engraving exactly.",
            "An old man got in touch, who had lost it on his honeymoon and remembered every letter of the engraving.",
        ),
        maybe(
            "It no longer fitted, and so it was put on a chain.",
            "{hero} was given a slice of apple pie and the whole story that went with it.",
            "For {hero} there was a kiss on both cheeks and, at Christmas, a new detector.",
        ),
    ),
    plot(
        "snowed in",
        {
            "vehicle": ("van", "estate car", "delivery truck", "camper"),
            "load": ("oranges", "apples", "chocolate", "gingerbread", "cheese"),
            "pass": ("the mountain road", "the pass", "the valley road", "the forest road"),
        },
        step(
            "With {a vehicle} full of {load}, {hero} was on {their} way to a market beyond the mountains.",
            "{hero} drove {a vehicle} that carried {load} from one side of the mountains to the other.",
            "It was December, and {hero} had to take {a vehicle} loaded with {load} across the mountains.",
        ),
        step(
            "On {pass} it began to snow so thickly that the wipers could not keep up.",
            "Halfway along {pass} the flakes came down so densely that {they} lost sight of the bonnet.",
            "A blizzard met {them} on {pass}, and within minutes the tarmac was white.",
        ),
        step(
            "In a bend the wheels spun, and the {vehicle} slid gently into a ditch.",
            "The {vehicle} skidded, turned half round and stuck fast in a drift.",
            "{they} tried to turn, and the back wheels sank into the snow up to the axle.",
        ),
        maybe(
            "{they} put the floor mats under the tyres, which the snow swallowed one by one.",
            "{they} dug with a frying pan until {they} could no longer feel {their} fingers.",
            "The phone showed no signal, and the tank was nearly empty.",
        ),
        step(
            "An hour later headlights appeared behind {them}: a full coach could not get through either.",
            "At dusk a coach pulled up behind, and it could neither go on nor go back.",
            "{hero} was not alone for long, because a coach full of skiers was stopped by the same drift.",
        ),
        step(
            "They were cold and hungry, so {hero} opened the back doors and shared out the {load}.",
            "{they} took {load} over to the coach, and they made room for {them} next to the heater.",
            "In exchange for a warm seat in the coach, {they} handed the {load} round.",
        ),
        maybe(
            "An old man had a flute, and nobody slept before two.",
            "The children in the back were soon throwing peel and crumbs at each other, or snowballs.",
            "By midnight all of them knew each other's first names.",
        ),
        step(
            "At sunrise a snow plough cleared the road and towed the {vehicle} out.",
            "The plough came through in the morning and found them all singing.",
            "When the road was opened the next day, thirty people pushed the {vehicle} back onto it.",
        ),
        maybe(
            "The market had to do without {load} that week, and {hero} was paid in invitations.",
            "{they} arrived at the market a day late with an empty {vehicle} and a list of addresses.",
            "Every December the passengers of that coach have a reunion, and {hero} brings the {load}.",
        ),
    ),
    plot(
        "leaking boat",
        {
            "boat": ("rowing boat", "dinghy", "old skiff", "wooden canoe"),
            "name": ("Marigold", "Esmeralda", "Pelican", "Sea Cucumber"),
            "stopper": ("chewing gum", "candle wax", "a cork", "a carved potato", "a sock"),
            "island": ("the island", "the lighthouse", "the far shore", "the sandbank"),
        },
        step(
            "{hero} had finally saved enough and bought {a boat} at an auction.",
            "Nobody else made a bid, and so {a boat} became {hero}'s for ten pounds.",
            "In a neighbour's barn {hero} found {a boat} under the straw and talked him into selling it.",
        ),
        step(
            "{they} sanded it down, gave it a coat of blue paint and christened it {name}.",
            "All spring {they} scraped and painted, and in the end {name} was written on the bow.",
            "It got new oars, a red stripe and the name {name}.",
        ),
        step(
            "{they} asked {friend} to come along on the maiden voyage to {island}.",
            "With {friend} in the bow and a picnic basket in between, {they} rowed out towards {island}.",
            "For the first trip, to {island}, {they} took {friend} on board.",
        ),
        step(
            "They were in deep water when {friend} remarked that {friend.their} feet were wet.",
            "Halfway across, the picnic basket began to float.",
            "A thin jet of water rose between the planks, just where the bank was farthest away.",
        ),
        maybe(
            '"That is normal with old wood," said {hero}, not quite sure of it.',
            "Both of them looked at it for a while without saying anything.",
            "{friend} put a foot on the hole, and it came up in another place.",
        ),
        step(
            "{hero} plugged the leak with {stopper}, and {friend} bailed with a coffee cup.",
            "While {friend} scooped water out with {friend.their} hat, {they} stuffed {stopper} into the crack.",
            "{they} felt for the hole, pushed {stopper} into it and told {friend} to bail for dear life.",
        ),
        maybe(
            "So they got to {island}, with the rim barely above the waves.",
            "The plug held just long enough for the keel to scrape on sand.",
            "They reached land at the very moment when {name} went down, in two feet of water.",
        ),
        maybe(
            "They ate soaked sandwiches on the beach and laughed till their ribs hurt.",
            "A fisherman gave them a lift home, with the wreck in tow.",
            "{friend} kissed the ground and asked about the ferry.",
        ),
        maybe(
            "These days {name} is a flower bed.",
            "Before the next outing {they} bought a pound of tar.",
            "That summer {name} was turned over in the garden and became a very good bench.",
        ),
    ),
)
