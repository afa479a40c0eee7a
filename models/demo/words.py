"""Words and sentence patterns from which the stories are built.

Slots in the patterns: {n} a person, {a} {b} {c} people in a given order, {t} a thing ("silver key"), {an} the same with
"a" or "an", {p} a place phrase ("under the bed"), {r} a room or building, {k} a number, {i} counted items, {e} an event,
{d} a day or a door, {v} a value to remember.
"""

NAMES = """Anna Tom Mia Ben Clara Paul Ida Max Nora Finn Lena Oscar Ruth Hugo Emma Leo Greta Karl Alice Jonas Vera Felix Rosa
Otto Sara Emil Julia Anton Maya Simon Helen Victor Stella Martin Lucy Peter Agnes David Laura Erik Irene Robin Flora George
Hanna Walter Olive Theo Marta Ralph Elsa Conrad Nina Albert Tilda Henry Wanda Edgar Lily Boris Daisy Ivan Carla Samuel Edith
Lukas Molly Noah Petra Arthur Susan Gregor Betty Frank Zoe Harold Kate Jasper Amelia Rudolf Doris Philip Mona Daniel Elena
Bruno Judith Oliver Sophie Gustav Pia Adam Celia Louis Marie Tobias Ella Nathan Beata Jacob Ingrid Milo Fiona Stefan Gloria
Ralf Tessa Kurt Yara Linus Berta Ned Hilda Sam Dora Joe Selma Luke Thea Mark Naomi Jack Romy Will Cora Fred Jenny Bill Alma
Rita Hans Liv Gus June Kim Roy May Abel Ada""".split()

SYLLABLES = """ba bo da del dor el fa fen gor ha il jo ka kel la lin lo ma mir na nor o pel qui ra ril ro sa sel ta tor u va vin
wen yo za zor""".split()

ADJECTIVES = """red blue green yellow white black grey brown pink purple orange silver golden copper wooden brass paper glass
leather stone small big old new round heavy broken striped shiny dusty crooked tiny painted long short folded plain dark bright
lucky torn velvet woollen spotted carved""".split()

NOUNS = """key kite lamp book ring cup drum flute map coin hat scarf clock comb doll bell candle spoon knife rope hammer
mirror letter whistle violin compass bowl brush blanket umbrella shovel bottle button necklace pipe lantern mask feather shell
pillow ball boat horn kettle mug needle notebook pan pen pencil plate pot purse puppet puzzle rake ribbon robe saddle saw
shield shoe sock spade stamp stick stool sword teapot toy train trumpet vase wagon watch wheel whip wig glove boot coat cape belt
helmet bracelet crown medal pearl ticket postcard photograph painting parcel marble top ladder broom anchor acorn
telescope guitar""".split()

# Rooms take "in the", buildings and landmarks take "at the".
ROOMS = """cellar attic kitchen barn stable workshop library garden hall pantry bedroom bathroom greenhouse shed garage nursery
study parlour laundry loft courtyard orchard""".split()
LANDMARKS = """bakery mill harbour school market church lake inn smithy museum station farm castle windmill bridge beach theatre
hospital bank zoo quarry river forge dairy lighthouse fountain bookshop tavern vineyard sawmill monastery playground""".split()
SPOTS = """under_the_bed behind_the_stove on_the_shelf beside_the_well under_the_oak_tree on_the_windowsill behind_the_curtain
on_the_roof under_the_stairs near_the_pond behind_the_church on_the_table under_the_carpet beside_the_fireplace near_the_gate
under_the_bench on_the_piano behind_the_sofa on_the_balcony under_the_cart beside_the_haystack near_the_beehives
behind_the_waterfall on_the_wall under_the_pillow beside_the_road on_the_porch behind_the_mill near_the_chimney
under_the_apple_tree""".split()
SPOTS = [spot.replace("_", " ") for spot in SPOTS]
CONTAINERS = "box chest basket jar bag drawer cupboard trunk tin crate sack barrel suitcase cabinet case bucket".split()

JOBS = """baker miller teacher doctor farmer fisherman carpenter tailor painter gardener cook smith shepherd sailor postman judge
weaver hunter nurse singer librarian barber butcher potter musician pilot mayor guard clockmaker shoemaker beekeeper dentist
engineer actor innkeeper jeweller mason plumber poet captain""".split()

ITEMS = """apples pears plums nuts eggs marbles buttons shells coins stamps carrots onions potatoes cherries lemons cookies buns
candles feathers stones beads pencils books tickets balloons flowers roses tulips cakes pies fish ducks hens sheep goats kittens
puppies rabbits figs peaches""".split()
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty""".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
EVENT_KINDS = """village school spring summer autumn winter harbour children's great little church garden town river family
evening farmers' sailors' bakers' royal secret island mountain forest market lantern flower students' midnight open golden silver wooden small big old new long short bright lucky paper""".split()
EVENTS = """fair feast dance concert parade play picnic wedding party show meeting exam game match festival auction trip
hunt lottery dinner""".split()
RACE_KINDS = """boat sack horse running swimming bicycle sledge snail egg pony donkey cart kite barrel pancake duck canoe pumpkin
camel turtle ski skating balloon potato cheese chariot relay hurdle raft goat""".split()
RACES = "race contest cup derby trophy".split()

DOORS = "door gate safe locker cabin vault cellar chest hut tower garage shed cupboard box suitcase".split()
PASSWORDS = """lantern maple thunder velvet pepper falcon button harvest copper meadow pebble winter candle walnut ribbon tiger
marble ocean feather saddle cactus mango pirate comet turnip biscuit violin emerald badger cinnamon""".split()

FAVOURITES = {
    "colour": "red blue green yellow white black grey brown pink purple orange silver gold".split(),
    "food": """soup bread cheese cake honey rice porridge pasta pie salad fish jam pancakes dumplings noodles butter chocolate
ham""".split(),
    "animal": """cat dog horse owl fox bear hedgehog squirrel swan otter deer hare mouse goose donkey sparrow frog turtle
beaver""".split(),
    "season": "spring summer autumn winter".split(),
    "game": "chess cards tag dominoes football marbles bowling darts skittles tennis draughts hopscotch".split(),
}

VILLAGES = """Alder Birch Bramble Clover Crow Ember Fern Fox Hazel Heron Juniper Linden Marsh Moss Oak Otter Pine Raven Reed Robin
Thistle Willow""".split()
VILLAGE_ENDS = "brook bridge field ford hill mouth side ton well wick wood dale".split()

INTROS = [
    "Once upon a time there was a village called {w}.", "This is a small story from {w}.", "Here is a story about {a} and {b}.",
    "Listen to this story.", "In {w} the days are long and quiet.", "It was a {x} week in {w}.", "{a}, {b} and {c} lived in {w}.",
    "Long ago, {a} and {b} lived near {w}.", "One morning in {w}, the bells rang early.", "{a} and {b} were old friends.",
    "Everyone in {w} knew {a}.", "Nobody in {w} would forget this {x} day.",
]
MOODS = "quiet busy happy strange warm cold rainy sunny long windy merry sleepy".split()

OPENERS = [
    "In the morning", "In the evening", "One day", "Later", "After lunch", "Before supper", "At noon", "Then", "Soon after",
    "A little later", "That day", "After a while", "As always", "It is said that", "Everybody knew that", "Before sunrise",
    "When the rain stopped", "To the surprise of all", "Without a word", "Early in the day", "Late at night",
]
CLOSERS = ["with a smile", "without a word", "in a hurry", "with great care", "as everyone could see", "as always"]
ASIDES = ["so they say", "as everyone knew", "of course", "or so it was told"]

# --- things: where they are and who has them ------------------------------------------------------------------------
PLACED = [
    "The {t} was {p}.", "The {t} was kept {p}.", "The {t} lay {p}.", "{n} put the {t} {p}.", "{n} kept the {t} {p}.",
    "{n} hid the {t} {p}.", "{n} left the {t} {p}.", "There was {an} {p}.", "{P} there was {an}.", "{P} lay the {t}.",
    "Someone had left the {t} {p}.", "{n} saw the {t} {p}.", "The {t} is {p}.", "{n} placed the {t} {p}.",
    "You could find the {t} {p}.", "{n} had forgotten the {t} {p}.", "{n} stored the {t} {p}.", "The {t} stood {p}.",
]
MOVED = [
    "{n} took the {t} and put it {p}.", "{n} moved the {t}, and now it was {p}.", "{n} found the {t} and hid it {p}.",
    "{n} put the {t} {p}.", "{n} carried the {t} away and left it {p}.", "The {t} was put {p}.", "{n} placed the {t} {p}.",
    "But now the {t} was {p}.", "{n} hid the {t} {p}.", "{n} left the {t} {p}.",
]
MOVED_ROOM = ["{n} took the {t} to the {r}.", "{n} moved the {t} to the {r}.", "{n} brought the {t} to the {r}.",
              "{n} carried the {t} to the {r}.", "The {t} was taken to the {r}."]
MOVED_CONTAINER = ["{n} put the {t} into the {r}.", "{n} moved the {t} into the {r}.", "{n} packed the {t} into the {r}.",
                   "{n} dropped the {t} into the {r}."]
OWNED = [
    "{n} had {an}.", "{n} owned {an}.", "{n} bought {an} at the market.", "{n} found {an} by the road.",
    "The {t} belonged to {n}.", "{n} carried {an} everywhere.", "{n} had {an} from an aunt.", "{n} was proud of having {an}.",
    "{n} was the owner of the {t}.", "{n} has the {t}.", "{n} had the {t}.", "{n} won {an} in a game.", "{n} has {an}.",
    "{n} never went out without the {t}.", "{n} picked up the {t}.", "{n} made {an} and kept it.",
]
TAKEN = ["{n} took the {t} and kept it.", "{n} found the {t} and kept it.", "{n} picked up the {t}.", "{n} took the {t}.",
         "{n} got the {t} out and carried it home.", "Now {n} had the {t}.", "{n} asked for the {t} and got it."]
GAVE = ["{a} gave the {t} to {b}.", "{a} gave {b} the {t}."]
PASSED = [
    "{a} handed the {t} to {b}.", "{a} sold the {t} to {b}.", "{b} bought the {t} from {a}.", "{b} borrowed the {t} from {a}.",
    "{b} took the {t} from {a}.", "{a} lent {b} the {t}.", "{a} passed the {t} on to {b}.", "{b} was given the {t} by {a}.",
    "{b} got the {t} from {a}.", "{a} let {b} have the {t}.", "{a} lost the {t} to {b} in a bet.",
]
MENTIONED = ["Everyone admired the {t}.", "{n} dreamed of the {t}.", "{n} liked the {t} very much.", "{n} drew the {t} in a book.",
             "People often spoke of the {t}.", "{n} asked about the {t}.", "{n} told a joke about the {t}.",
             "The {t} looked pretty in the sun."]
ASK_WHERE = ["Where is the {t}?", "Where is the {t} now?", "Where can I find the {t}?", "Where is the {t} kept?"]
ASK_WHO = ["Who has the {t}?", "Who has the {t} now?", "Who has got the {t}?", "Who holds the {t}?"]
ASK_GAVE = ["Who gave the {t} to {b}?", "Who gave {b} the {t}?"]

# --- people -----------------------------------------------------------------------------------------------------------
JOB = ["{n} was the {j}.", "{n} was {aj}.", "{n} worked as {aj}.", "{n} is the {j} of the village.", "{n} was known as the {j}.",
       "{n} had become {aj}.", "The {j} was called {n}.", "The {j} of the village was {n}.", "The name of the {j} was {n}."]
ASK_JOB = ["What is {n}'s job?", "What does {n} do for a living?", "What is {n} by trade?"]
ASK_JOB_WHO = ["Who is the {j}?", "What is the name of the {j}?"]
FAVOURITE = ["{n}'s favourite {c} was {v}.", "The favourite {c} of {n} was {v}.", "Of all, {n}'s favourite {c} is {v}.",
             "{n} said that the best {c} was {v}."]
ASK_FAVOURITE = ["What is {n}'s favourite {c}?", "Which {c} does {n} like best?", "What is the favourite {c} of {n}?"]
CODE = ["The code of the {d} was {v}.", "The code of the {d} is {v}.", "{n} wrote down the code of the {d}: {v}.",
        "Remember this: the code of the {d} is {v}.", "The {d} opened with the code {v}.", "To open the {d}, {n} used the code {v}."]
ASK_CODE = ["What is the code of the {d}?", "Which code opens the {d}?", "What code does the {d} have?"]
PASSWORD = ["The password of the {d} was {v}.", "The password of the {d} is {v}.", "{n} knew the password of the {d}: {v}.",
            "Remember this: the password of the {d} is {v}.", "The {d} opened with the password {v}."]
ASK_PASSWORD = ["What is the password of the {d}?", "Which password opens the {d}?"]

# --- numbers ----------------------------------------------------------------------------------------------------------
COUNTED = ["{n} had {k} {i}.", "{n} picked {k} {i}.", "{n} brought {k} {i} in a basket.", "{n} counted {k} {i}.",
           "{n} came home with {k} {i}.", "{n} owned {k} {i}.", "{n} has {k} {i}.", "There were {k} {i} in {n}'s basket.",
           "{n} bought {k} {i} at the market.", "{n} got {k} {i} from a neighbour."]
COUNTED_BOTH = ["{a} had {k} {i} and {b} had {l} {i}.", "{a} has {k} {i} and {b} has {l} {i}.", "{a} found {k} {i}, and {b} found {l} {i}.",
                "{a} brought {k} {i}, but {b} brought {l} {i}."]
LOST = ["{n} lost {k} of the {i}.", "{n} gave away {k} of the {i}.", "{n} sold {k} of the {i}.", "{n} gave {k} {i} away.",
        "{n} dropped {k} of the {i} in the river.", "A thief stole {k} of {n}'s {i}."]
GAINED = ["{n} got {k} more {i}.", "{n} found {k} more {i}.", "{n} bought {k} more {i}.", "A friend gave {n} {k} more {i}.",
          "{n} was given {k} more {i}."]
ASK_COUNT = ["How many {i} does {n} have?", "How many {i} does {n} have now?", "How many {i} has {n} got?"]
ASK_SUM = ["How many {i} do {a} and {b} have together?", "How many {i} have {a} and {b} got together?",
           "How many {i} do {a} and {b} have in all?"]

# --- order ------------------------------------------------------------------------------------------------------------
HELD = ["The {e} was on {d}.", "On {d} there was the {e}.", "The {e} took place on {d}.", "{d} was the day of the {e}.",
        "They held the {e} on {d}.", "On {d} everybody went to the {e}.", "{n} waited for the {e} on {d}.", "On {d} came the {e}.",
        "{n} and {m} went to the {e} on {d}."]
ASK_DAY = ["When was the {e}?", "On which day was the {e}?", "What day was the {e}?"]
ASK_FIRST = ["Which came first, the {e} or the {f}?", "What came first, the {e} or the {f}?", "Which was first, the {e} or the {f}?"]
ASK_LATER = ["Which came later, the {e} or the {f}?", "What came later, the {e} or the {f}?", "Which was later, the {e} or the {f}?"]
WENT_ALL = [
    "{n} went first to the {a}, then to the {b}, and at last to the {c}.",
    "{n} went to the {a}, then to the {b}, and then to the {c}.",
    "First {n} went to the {a}, after that to the {b}, and in the end to the {c}.",
    "In the morning {n} went to the {a}, at noon to the {b}, and in the evening to the {c}.",
]
WENT_BOTH = ["{n} went to the {a} and then to the {b}.", "{n} went first to the {a}, then to the {b}."]
WENT = ["{n} went to the {a}.", "{n} walked to the {a}.", "{n} went to the {a} early.", "{n} hurried to the {a}.", "{n} is at the {a}.",
        "{n} travelled to the {a}."]
WENT_IN = ["{n} went to the {a}.", "{n} ran to the {a}.", "{n} is in the {a}.", "{n} went back to the {a}.", "{n} walked to the {a}."]
WENT_NEXT = ["After the {a}, {n} went to the {b}.", "From the {a}, {n} went on to the {b}.", "Then {n} left the {a} and went to the {b}.",
             "{n} walked from the {a} to the {b}."]
WENT_ON = ["Then {n} went to the {b}.", "Later {n} went to the {b}.", "{n} went to the {b}.", "After that, {n} went to the {b}."]
ASK_WENT = ["Where did {n} go?"]
ASK_WENT_FIRST = ["Where did {n} go first?", "Which place did {n} visit first?"]
ASK_WENT_LAST = ["Where did {n} go last?", "Which place did {n} visit last?"]
ASK_WENT_AFTER = ["Where did {n} go after the {a}?", "Where did {n} go next after the {a}?"]
ASK_WENT_NOW = ["Where is {n} now?", "Where is {n}?"]
RACED = ["In the {e}, {a} came first, {b} came second, and {c} came third.", "{a} won the {e}, {b} was second, and {c} was third.",
         "The {e} was won by {a}; {b} came second and {c} came third.", "First in the {e} was {a}, second was {b}, and third was {c}."]
ASK_WON = ["Who won the {e}?", "Who came first in the {e}?", "Who was first in the {e}?"]
ASK_SECOND = ["Who came second in the {e}?", "Who was second in the {e}?"]
ASK_THIRD = ["Who came third in the {e}?", "Who was third in the {e}?"]

# --- sentences that matter to no question -----------------------------------------------------------------------------
FILLERS = [
    "The wind was {x}.", "It rained a little in the {h}.", "The sun shone over the hills.", "A {z} slept by the fire.", "The {z} ran across the yard.",
    "Nobody said much.", "The bells rang {k} times.", "Smoke rose from the chimneys.", "The road was full of mud.", "It was a {x} {h}.",
    "Children were singing in the street.", "The moon was bright that night.", "A {z} looked through the window.", "The river ran slowly.",
    "Some said that snow was coming.", "The fields smelled of hay.", "{n} was in a {x} mood.", "{n} sang an old song.",
    "{n} laughed about it for a long time.", "{n} and {m} talked until the {h}.", "{n} was tired and went to bed early.",
    "\"What a {x} day,\" said {n}.", "\"I am hungry,\" said {n}.", "\"Have you seen the {z}?\" asked {n}.", "{n} waved to {m} from far away.",
    "{n} drank a cup of tea.", "{n} read a letter and sighed.", "{n} fed the {z}.", "{n} helped {m} with the work.", "{n} told {m} a joke.",
    "{n} thought about the {h}.", "{n} did not want to wait.", "{n} met {m} on the way.", "{n} and {m} played cards.", "{n} mended a fence.",
    "{n} heard a noise, but it was only a {z}.", "{n} counted the stars.", "{n} forgot to close the window.", "{n} ate some bread with {m}.",
    "\"See you tomorrow,\" said {n} to {m}.", "{n} was looking for the {z}.", "{n} was afraid of the {z}.", "{n} passed the {r} on the way home.",
    "The people of {w} were proud of the {r}.", "The {r} was closed for the day.", "A stranger asked for the way to the {r}.",
    "{n} did not know what {m} wanted.", "{n} wrote a long letter to {m}.", "{n} wished for a better {h}.", "The old men spoke about the {r}.",
    "Some thought that {n} was too {x}, but {m} did not agree.", "The clock struck {k}.", "There was nothing new in {w}.",
]
BEASTS = "cat dog goat fox owl hen goose horse cow mouse rabbit sheep donkey crow".split()
HOURS = "morning afternoon evening night".split()

# --- talk without a story ---------------------------------------------------------------------------------------------
HELLO = "Hello! I only know small stories. Tell me one, then ask."
NO_STORY = "I only know small stories. Tell me one, then ask."
TOLD = "Thank you for the story. What would you like to know?"
WELCOME = "You are welcome."
GOODBYE = "Goodbye!"
NOT_TOLD = "The story does not say."

GREETINGS = ["Hello", "Hi", "Hey", "Good morning", "Good evening", "Good day", "Hello there", "Hi there", "Greetings", "Hello, how are you",
             "Hi, how are you", "How are you", "Hello, who are you", "Who are you", "What are you", "What is your name", "What can you do",
             "Hello Quire", "Hi, what can you do", "Help", "Can you help me", "Tell me about yourself", "Are you a robot", "Nice to meet you",
             "Is anybody there", "Test", "hello world", "yo", "What do you know", "How does this work"]
THANKS = ["Thank you", "Thanks", "Thank you very much", "Thanks a lot", "Many thanks", "Great, thank you", "Good, thanks", "Well done",
          "That is right", "Very good"]
FAREWELLS = ["Bye", "Goodbye", "Good night", "See you", "See you later", "Goodbye and thanks", "Bye bye", "Farewell"]
OFF_TOPIC = ["What is the capital of {o}?", "Write a poem about {o}.", "Explain {o} to me.", "How do I cook {o}?", "Who invented {o}?",
             "Tell me a joke about {o}.", "What do you think about {o}?", "Translate {o} into French.", "Why is {o} so popular?", "Do you like {o}?",
             "Write a program for {o}.", "How far is it to {o}?", "What is {o}?", "Give me a list of {o}.", "Tell me a story about {o}.",
             "What is the meaning of {o}?", "How old is {o}?", "When was {o} born?", "Tell me something about {o}.", "Summarise {o}."]
TOPICS = """France Japan music love rain physics money history tea science football the_moon computers the_sea life art cooking
London winter gardening Africa planets poetry mathematics Rome cars bread politics language dreams Germany China birds school
health trees Python memory numbers films dinosaurs""".split()
TOPICS = [topic.replace("_", " ") for topic in TOPICS]
SYSTEM = ["You are a helpful assistant.", "You answer questions about small stories.", "Answer in one sentence.", "Be brief.",
          "You are Quire, a very small language model.", "Answer the question about the story."]
