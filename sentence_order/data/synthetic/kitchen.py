"""Plots about cooking and eating."""

from .plot import maybe, plot, step

PLOTS = (
    plot(
        "baked loaf",
        {
            "flour": ("rye", "spelt", "oat", "wheat", "barley", "buckwheat"),
            "spot": ("radiator", "stove", "fireplace", "boiler"),
            "caller": ("sister", "brother", "mother", "uncle"),
        },
        step(
            "{hero} had never baked anything, but the mill sold {flour} flour at half price and {they} took a bag.",
            "At the village mill, {hero} bought a bag of {flour} flour and decided to try {their} hand at bread.",
            "A bag of {flour} flour was what {hero} won at the fair, so {they} resolved to bake a loaf.",
        ),
        step(
            "{they} tipped half of the flour into a bowl with water and yeast and kneaded until {their} arms ached.",
            "Mixed with water, salt and a little yeast, it turned into a dough that clung to every finger.",
            "The dough {they} made from it stuck to the bowl, to the spoon and to {their} sleeves.",
        ),
        maybe(
            "{they} laid a cloth over the bowl and left the dough to rise beside the {spot}.",
            "Next to the {spot} it was warm, and there the dough was put to rise under a cloth.",
            "Covered with a cloth, the sticky mass was pushed close to the {spot}, where it could rise.",
        ),
        step(
            "A phone call from {their} {caller} lasted two hours, and meanwhile the dough swelled over the rim.",
            "While {hero} dozed in front of the television, the dough climbed out of its bowl.",
            "{they} forgot all about it until a blob of dough dropped from the table onto the floor.",
        ),
        step(
            "{they} scraped the runaway together, slapped it into a tin and slid it into the oven.",
            "Grumbling, {hero} gathered up what had escaped, pressed it into a tin and shut the oven on it.",
            "With a spatula {they} collected the whole mess from the table, and into the oven it went.",
        ),
        maybe(
            "Soon the smell of baking drifted down the stairwell, and the children next door came to sniff.",
            "In the heat it browned and cracked, and {they} crouched at the oven window like a child.",
            "The scent that came from the oven after twenty minutes made {them} dance around the table.",
        ),
        step(
            "What {they} pulled out was lopsided, but its crust crackled under the knife.",
            "The loaf that came out an hour later leaned to one side and smelled wonderful.",
            "Out of the tin fell a crooked brown loaf that sounded hollow when {they} tapped it.",
        ),
        maybe(
            "{hero} spread butter on the first slice while it was still steaming and ate it standing up.",
            "Half the loaf was gone before it had cooled down.",
            "{they} cut it while it was hot, against all advice, and shared it with the neighbours.",
        ),
    ),
    plot(
        "burnt soup",
        {
            "vegetable": ("leek", "pumpkin", "onion", "carrot", "mushroom", "asparagus"),
            "show": ("football match", "quiz show", "crime series", "old western", "documentary"),
            "takeaway": ("noodles", "curry", "fried rice", "dumplings", "falafel"),
        },
        step(
            "{hero} had invited {friend} to supper and put a pot of {vegetable} soup on the stove.",
            "A pot of {vegetable} soup was simmering on {hero}'s stove, for {friend} was coming to supper.",
            "Because {friend} was coming over to eat, {hero} set a pot of {vegetable} soup to simmer.",
        ),
        step(
            "Nothing needed doing for half an hour, so {they} sat down to watch {a show}.",
            "Leaving it to bubble, {they} turned on {a show} in the next room.",
            "While it cooked {they} only meant to glance at {a show}.",
        ),
        step(
            "The {show} was so gripping that {they} noticed nothing until smoke curled round the door.",
            "By the time the smoke alarm shrieked, the {show} had made {them} forget about cooking altogether.",
            "A bitter smell pulled {them} away from the {show} and back to the kitchen.",
        ),
        maybe(
            "The pot had boiled dry, and its bottom was one black crust.",
            "All that was left in the pot was a layer of tar.",
            "{they} lifted the lid and found a charred crust where there had been {vegetable} soup.",
        ),
        maybe(
            "{hero} carried the blackened pot out to the balcony and flapped a towel at the smoke.",
            "Coughing, {they} filled the ruined pot with water and threw the windows open.",
            "{they} hid the remains under the sink and fanned the smoke out with a baking tray.",
        ),
        step(
            "The doorbell rang, and there stood {friend}, sniffing the air.",
            "Right at that moment {friend} arrived, with a bottle of wine and a puzzled look.",
            "{friend} walked in while the last of the smoke was still hanging under the lamp.",
        ),
        step(
            "{hero} confessed, and {friend.they} laughed so hard that {friend.they} had to hold on to the coat rack.",
            "On hearing about the disaster, {friend.they} only grinned and reached for the telephone.",
            '"At least it was a quick recipe," {friend.they} said when {hero} had told {friend.them} everything.',
        ),
        maybe(
            "Half an hour later the two of them were eating {takeaway} out of cardboard boxes.",
            "They ended up sharing a box of {takeaway}, which {friend} insisted on paying for.",
            "So supper was {takeaway} from the place on the corner, and it was the guest who fetched it.",
        ),
    ),
    plot(
        "glut of fruit",
        {
            "fruit, fruits": (
                ("plum", "plums"),
                ("cherry", "cherries"),
                ("apricot", "apricots"),
                ("damson", "damsons"),
                ("peach", "peaches"),
            ),
            "jars": ("twenty", "thirty", "forty", "eighteen"),
            "relative": ("grandmother", "aunt", "godmother"),
        },
        step(
            "{hero} had moved into a house with an old {fruit} tree, and that summer it was heavy with fruit.",
            "After years of nothing, an old {fruit} tree in {hero}'s yard was suddenly covered with fruit.",
            "An old {fruit} tree behind {hero}'s house bore so much that its branches touched the grass.",
        ),
        step(
            "{they} leaned a ladder against the trunk and filled bucket after bucket.",
            "With a borrowed ladder and a row of buckets, {they} picked until dusk.",
            "Up a wobbly ladder {they} climbed again and again, until no bucket in the shed was empty.",
        ),
        step(
            "Two days later the buckets were still standing in the hall, and wasps were circling them.",
            "No one could eat so many {fruits}, and those at the bottom of the buckets were turning soft.",
            "That was far more than one person could eat, and soon the buckets began to smell of wine.",
        ),
        step(
            "In a drawer {they} dug up {their} {relative}'s recipe for jam.",
            "{they} rang {their} {relative}, who said that jam was the only answer and dictated a recipe.",
            "Rather than let the {fruits} rot, {hero} got a jam recipe from {their} {relative}.",
        ),
        maybe(
            "It asked for so much sugar that {they} had to go to the shop twice.",
            "All the sugar the corner shop had left went into {their} basket, as the recipe demanded.",
            "{they} doubled the amount of lemon in it, because {they} had never liked sweet things.",
        ),
        step(
            "For an entire Sunday the fruit and the sugar bubbled in the largest pan {they} owned.",
            "{they} boiled the fruit with the sugar until a drop of it set on a cold plate.",
            "Pan after pan came to the boil, and the kitchen walls grew sticky.",
        ),
        step(
            "By nightfall {jars} jars of it were cooling on the windowsill.",
            "The hot jam filled every jar {they} could find, {jars} in all.",
            "When the pan had been scraped out for the last time, {hero} counted {jars} jars.",
        ),
        maybe(
            "Everyone on the street found one of the jars on the doorstep, with a ribbon round its lid.",
            "{they} stuck a label on each jar and gave all but three of them away.",
            "The jars lasted until the tree was in blossom again.",
        ),
    ),
    plot(
        "birthday cake",
        {
            "flavour": ("chocolate", "lemon", "walnut", "orange", "almond", "hazelnut"),
            "age, birthday": (("thirty", "thirtieth"), ("forty", "fortieth"), ("fifty", "fiftieth")),
            "fruit": ("berry", "cherry", "slice of kiwi", "mint leaf"),
        },
        step(
            "{friend} was turning {age} on Saturday, and {hero} promised to bring {a flavour} cake to the party.",
            "{hero} had volunteered to bake {a flavour} cake for {friend}'s {birthday} birthday.",
            "Invited to {friend}'s {birthday} birthday, {hero} offered to bring {a flavour} cake.",
        ),
        step(
            "It took {them} a whole evening to bake three layers and stack them with cream.",
            "{they} baked three layers, spread cream between them and put the tower into a box.",
            "Three layers came out of the oven, and {they} glued them together with whipped cream.",
        ),
        maybe(
            "On Saturday {they} strapped the box into the car with a seat belt.",
            "{they} set the finished work on the passenger seat and drove off as though it were made of glass.",
            "For the journey the cream tower got the front seat, and {hero} drove at walking pace.",
        ),
        step(
            "On the way to the party a cat ran into the road, {hero} braked, and the cake slid off its seat.",
            "Two streets from {friend}'s flat {they} had to brake hard, and beside {them} something went thud.",
            "Halfway there, {they} took a bend too fast and heard the cake hit the door of the car.",
        ),
        maybe(
            "{they} lifted the lid: the cream was everywhere and the layers lay in a heap.",
            "What had been three layers was now a pile of crumbs and cream.",
            "Nothing inside the box looked like a cake any more.",
        ),
        step(
            "Instead of turning back, {hero} stopped at a kiosk and bought a stack of paper cups.",
            "{they} sat behind the wheel, thought, and then went into a shop for forty paper cups.",
            "A sleepy corner shop sold {them} paper cups and spoons, and with those {they} could work.",
        ),
        step(
            "On the bonnet of the car {they} spooned the wreck into the cups, with {a fruit} on each.",
            "Every cup got a spoonful of crumbs, a spoonful of cream and {a fruit}.",
            "{they} filled the cups with crumbs and cream and added {a fruit}, as if that had been the plan.",
        ),
        maybe(
            '"A trifle for everyone," {hero} announced on arriving, and nobody asked a question.',
            "The guests scraped the cups clean, and {friend} begged for the recipe.",
            "{friend} blew out a candle stuck in a paper cup and said that it was the best dessert of all.",
        ),
    ),
    plot(
        "secret ingredient",
        {
            "dish": ("stew", "goulash", "curry", "casserole", "ragout", "onion soup"),
            "relative": ("grandmother", "great-aunt", "godmother", "aunt"),
            "ingredient": (
                "a square of dark chocolate",
                "a spoonful of honey",
                "a splash of cider",
                "a strip of orange peel",
                "two crushed gingerbread biscuits",
            ),
        },
        step(
            "{hero} still dreamed of {a dish} that {their} {relative} used to make.",
            "No {dish} in any restaurant was like the one {hero}'s {relative} had made, and {they} missed it.",
            "{hero} inherited a big iron pot and wanted to cook {their} {relative}'s famous {dish} in it.",
        ),
        step(
            "From memory {they} wrote down everything that had gone into it and spent a Sunday at the stove.",
            "{they} chopped, browned and simmered for a whole afternoon, guided by nothing but memory.",
            "As no recipe had survived, {they} made a first attempt by smell alone.",
        ),
        step(
            "It tasted fine, yet something was missing.",
            "The result was good, but it was not the real thing.",
            "One spoonful told {them} that this was close, but not the same.",
        ),
        maybe(
            "More pepper did not help, and neither did more wine.",
            "{they} tried it with more garlic, with less garlic and with another kind of salt, all in vain.",
            "Every week {hero} changed one thing in the pot, and every week {they} shook {their} head.",
        ),
        step(
            "In the attic one evening {they} opened a box and found the old woman's cookbook.",
            "{their} uncle remembered a cookbook with a broken spine, and {they} begged him to post it.",
            "Behind a row of jars in the cellar {hero} came upon a cookbook, its pages stiff with gravy.",
        ),
        step(
            "In the margin beside the {dish}, in faint pencil, somebody had added {ingredient}.",
            "Its list was the same as {theirs}, except for the last line, which asked for {ingredient}.",
            'A note at the bottom of the page read: "Never without {ingredient}."',
        ),
        maybe(
            "{they} read the line twice, because it was the one thing {they} would never have tried.",
            "It sounded so absurd that {they} laughed out loud.",
            "{hero} fetched {their} glasses to make sure that it really said so.",
        ),
        step(
            "{they} did as the book said, tasted, and had to sit down.",
            "The next pot got exactly that, and with the first bite {they} was six years old again.",
            "{hero} cooked it again that night with the secret stirred in, and this time it was right.",
        ),
        maybe(
            "The cookbook got a place of honour above the stove.",
            "Half the family has asked since how it was done, and nobody has been told.",
            "{they} rubbed the pot clean with bread and copied the page out for {their} children.",
        ),
    ),
    plot(
        "chilli contest",
        {
            "dish": ("chilli", "gumbo", "goat curry", "fish stew"),
            "place": ("fire station", "harbour", "football ground", "village hall"),
            "prize": ("a copper ladle", "a silver spoon", "a golden apron", "a painted plate"),
        },
        step(
            "{hero} was so proud of {their} {dish} that {they} signed up for a cooking contest at the {place}.",
            "The {place} was holding a cooking contest, and {hero} put {their} name down with {a dish}.",
            "A poster announced a contest at the {place}, and {hero} decided to enter it with {their} {dish}.",
        ),
        maybe(
            "For three weekends {they} practised, and {their} flatmates ate little else.",
            "{they} cooked it night after night in preparation and weighed every pinch of spice.",
            "To be quite safe {they} rehearsed with a stopwatch, until the recipe took fifty-five minutes.",
        ),
        step(
            "On the day itself {they} lit a gas ring among twenty other cooks and began to fry the onions.",
            "{their} pot was the smallest of the twenty on the tables, but soon it was bubbling.",
            "{they} got a table between two former winners and set {their} pot on the flame.",
        ),
        step(
            "{they} reached for the salt, knocked over a jar, and a whole cup of cayenne slid into the {dish}.",
            "A boy bumped the table, and the lid came off the cayenne right above {hero}'s pot.",
            "Someone called {hero}, {they} turned, and the bag of cayenne in {their} hand emptied itself into the pot.",
        ),
        maybe(
            "{they} tasted it and could not speak for a minute.",
            "A single drop on {their} tongue made {their} eyes stream.",
            "The fumes alone set the winners to {their} left and right coughing.",
        ),
        step(
            "With ten minutes left, {they} stirred in milk, sugar and every potato {they} could borrow.",
            "{they} begged cream from the next table to tame the heat, and poured it in by the pint.",
            "To put out the fire {hero} added honey, yoghurt and a mountain of boiled rice.",
        ),
        step(
            "The judges dipped their spoons in, went red, and dipped them in again.",
            "One judge gasped, drank a glass of water and came back for more of it.",
            "When the jury reached {hero}, there was a long silence, then a cough, then a request for seconds.",
        ),
        step(
            "The verdict was read out: {prize} for {hero}, for courage.",
            "{they} took home {prize} and a new name for the recipe, which was the accident.",
            "That evening {prize} hung on {their} wall, awarded for the boldest pot of the day.",
        ),
    ),
)
