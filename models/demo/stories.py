"""Seeded stories and the questions that they answer.

A `Story` is built from threads. A thread is a short list of sentences in order (the key lay in the cellar; later Anna took it) that
settles one or more facts; threads are interleaved with each other and with sentences that settle nothing. Every fact is a pair of
words, such as an adjective and a noun or a person and a trade. One pair in eight, chosen by a checksum, never occurs in training
text: held-out stories are made of those pairs only.
"""

from dataclasses import dataclass
from random import Random
from zlib import crc32

import words as W

HELDOUT_SHARE = 8


@dataclass
class Fact:
    """A question in several wordings and its one answer. `subject` names the thing or person asked about."""

    kind: str
    forms: list
    answer: str
    subject: str = ""


@dataclass
class Thing:
    """Something that is either `at` a place phrase or `held` by a person; the other one is None."""

    name: str
    noun: str
    at: str | None = None
    held: str | None = None


def is_heldout(first: str, second: str) -> bool:
    return crc32(f"{first}|{second}".encode()) % HELDOUT_SHARE == 0


def with_article(name: str) -> str:
    return ("an " if name[0] in "aeiou" else "a ") + name


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


class Story:
    """One story of about `size` words. Read `text()` and `facts` after construction."""

    def __init__(self, rng: Random, heldout: bool, size: int):
        self.rng = rng
        self.heldout = heldout
        self.words = 0
        self.lines = []  # (position in the story, sentence)
        self.facts = []
        self.things = []
        self.used = set()
        self.unused_fillers = []
        self.digits = rng.random() < 0.25
        self.people = []
        for _ in range(min(24, 3 + size // 80 + rng.randrange(3))):
            self.people.append(self.fresh(self.new_name))
        self.village = self.pick(W.VILLAGES) + self.pick(W.VILLAGE_ENDS)
        threads = [self.thing_thread] * 7 + [self.job_thread, self.favourite_thread, self.code_thread, self.count_thread] * 2
        threads += [self.sum_thread, self.change_thread, self.route_thread, self.route_thread, self.race_thread]
        threads += [self.events_thread] * 2
        share = rng.uniform(0.35, 0.9)
        if rng.random() < 0.8:
            self.add([self.fill(self.pick(W.INTROS))], at=0.0)
        while self.words < size * share:
            self.pick(threads)()
        while self.words < size:
            self.add([self.fill(self.filler())])
        self.add_noun_facts()
        self.lines.sort(key=lambda line: line[0])

    # --- small choices ------------------------------------------------------------------------------------------------
    def pick(self, options):
        return options[int(self.rng.random() * len(options))]

    def fits(self, first: str, second: str) -> bool:
        return is_heldout(first, second) == self.heldout

    def fresh(self, make):
        """A value of `make` that this story has not used yet."""
        while True:
            value = make()
            if value not in self.used:
                self.used.add(value)
                return value

    def invented(self) -> str:
        return "".join(self.pick(W.SYLLABLES) for _ in range(2 + self.rng.randrange(2)))

    def new_name(self) -> str:
        invented = not self.heldout and self.rng.random() < 0.08
        return capital(self.invented()) if invented else self.pick(W.NAMES)

    def person(self, *others) -> str:
        while True:
            name = self.pick(self.people)
            if name not in others:
                return name

    def person_for(self, value: str, *others) -> str:
        """A person for whom the pair with `value` belongs to this story's split, if the story has one."""
        for _ in range(60):
            name = self.person(*others)
            if self.fits(name, value):
                return name
        while True:
            name = self.new_name()
            if name not in others and name not in self.used and self.fits(name, value):
                self.used.add(name)
                self.people.append(name)
                return name

    def pair(self, firsts, seconds):
        """An unused "first second" phrase of this story's split, or None when hardly any is left."""
        for _ in range(200):
            first, second = self.pick(firsts), self.pick(seconds)
            phrase = f"{first} {second}"
            if self.fits(first, second) and phrase not in self.used:
                self.used.add(phrase)
                return phrase
        return None

    def filler(self) -> str:
        """A pattern that settles nothing; none comes twice before all have come."""
        if not self.unused_fillers:
            self.unused_fillers = self.rng.sample(W.FILLERS, len(W.FILLERS))
        return self.unused_fillers.pop()

    def number(self, value: int) -> str:
        return str(value) if self.digits else W.NUMBERS[value]

    def fill(self, pattern: str) -> str:
        """Fills the slots of a pattern that settles nothing."""
        names = self.rng.sample(self.people, 3)
        return pattern.format(n=names[0], m=names[1], a=names[0], b=names[1], c=names[2], w=self.village, x=self.pick(W.MOODS),
                              z=self.pick(W.BEASTS), h=self.pick(W.HOURS), r=self.pick(W.LANDMARKS), k=self.number(2 + self.rng.randrange(9)))

    def say(self, patterns, **slots) -> str:
        """A sentence from one of the patterns, sometimes with an opening or a closing phrase."""
        pattern = self.pick(patterns)
        text = pattern.format(**slots)
        roll = self.rng.random()
        if roll < 0.2 and (pattern[0] == "{" and pattern[1] in "nab" or pattern[:4] == "The "):
            opener = self.pick(W.OPENERS)
            text = opener + (" " if opener[-4:] == "that" else ", " if self.rng.random() < 0.7 else " ") + (
                "the " + text[4:] if pattern[:4] == "The " else text)
        elif roll > 0.93:
            active = pattern[0] == "{" and " had " not in pattern and " is " not in pattern and " was " not in pattern
            text = f"{text[:-1]}, {self.pick(W.CLOSERS if active else W.ASIDES)}."
        return text

    def add(self, sentences, at=None):
        """Places the sentences of a thread in order, close together or far apart."""
        rng = self.rng
        count = len(sentences)
        if at is not None:
            places = [at]
        elif rng.random() < 0.25:
            start = rng.random()
            places = [start + 1e-6 * k for k in range(count)]
        else:
            places = sorted(rng.random() for _ in range(count))
        for place, sentence in zip(places, sentences):
            self.lines.append((place, sentence))
            self.words += sentence.count(" ") + 2

    # --- things -------------------------------------------------------------------------------------------------------
    def new_thing(self) -> Thing:
        rng = self.rng
        while True:
            noun = self.pick(W.NOUNS)
            if not self.heldout and rng.random() < 0.06:
                noun = self.invented()
            adjective = self.pick(W.ADJECTIVES)
            plain = not self.heldout and rng.random() < 0.2
            name = noun if plain else f"{adjective} {noun}"
            if name in self.used or ("only", noun) in self.used or (plain and ("noun", noun) in self.used):
                continue
            if not plain and not self.fits(adjective, noun):
                continue
            self.used.update([name, ("noun", noun)] + ([("only", noun)] if plain else []))
            thing = Thing(name, noun)
            self.things.append(thing)
            return thing

    def place_for(self, thing: Thing):
        """A place phrase for the thing, with the room or container in it where there is one."""
        while True:
            roll = self.rng.random()
            if roll < 0.35:
                noun = self.pick(W.ROOMS)
                phrase, patterns = f"in the {noun}", W.MOVED_ROOM
            elif roll < 0.65:
                noun = self.pick(W.SPOTS)
                phrase, patterns = noun, None
            else:
                noun = f"{self.pick(W.ADJECTIVES)} {self.pick(W.CONTAINERS)}" if self.rng.random() < 0.8 else self.pick(W.CONTAINERS)
                phrase, patterns = f"in the {noun}", W.MOVED_CONTAINER
            if self.fits(thing.noun, noun) and ("place", phrase) not in self.used:
                self.used.add(("place", phrase))
                if self.rng.random() < 0.02 * len(self.things):  # long stories run out of new places
                    self.used = {entry for entry in self.used if entry[0] != "place"}
                return phrase, noun, patterns

    def put(self, thing: Thing, first: bool) -> str:
        phrase, noun, patterns = self.place_for(thing)
        person = thing.held or self.person()
        thing.at, thing.held = phrase, None
        slots = dict(t=thing.name, an=with_article(thing.name), p=phrase, P=capital(phrase), n=person, r=noun)
        if first:
            return self.say(W.PLACED, **slots)
        return self.say(patterns if patterns and self.rng.random() < 0.4 else W.MOVED, **slots)

    def hand(self, thing: Thing, first: bool) -> str:
        giver = thing.held
        person = self.person_for(thing.noun, giver)
        thing.at, thing.held = None, person
        if first:
            return self.say(W.OWNED, n=person, t=thing.name, an=with_article(thing.name))
        if giver is None:
            return self.say(W.TAKEN, n=person, t=thing.name)
        gave = self.rng.random() < 0.5
        if gave and (thing.name, person) not in self.used:
            self.used.add((thing.name, person))
            forms = [form.format(t=thing.name, b=person) for form in W.ASK_GAVE]
            self.facts.append(Fact("gave", forms, f"{giver} gave the {thing.name} to {person}.", thing.name))
        return self.say(W.GAVE if gave else W.PASSED, a=giver, b=person, t=thing.name)

    def change_thing(self, thing: Thing, first=False) -> str:
        held = self.rng.random() < (0.5 if first else 0.7 if thing.held else 0.3)
        return self.hand(thing, first) if held else self.put(thing, first)

    def state_fact(self, thing: Thing, name: str) -> Fact:
        ask_where = [form.format(t=name) for form in W.ASK_WHERE]
        ask_who = [form.format(t=name) for form in W.ASK_WHO]
        if self.rng.random() < 0.08:  # the other question gets the same true answer
            ask_where, ask_who = ask_who, ask_where
        if thing.held:
            return Fact("who", ask_who, f"{thing.held} has the {name}.", thing.name)
        return Fact("where", ask_where, f"The {name} is {thing.at}.", thing.name)

    def thing_thread(self):
        thing = self.new_thing()
        before = len(self.facts)
        roll = self.rng.random()
        sentences = [self.change_thing(thing, first=True)]
        for _ in range(0 if roll < 0.5 else 1 if roll < 0.85 else 2):
            sentences.append(self.change_thing(thing))
        if len(sentences) > 2:  # a thing that comes back to someone would make "who gave it" ambiguous
            del self.facts[before:]
        if self.rng.random() < 0.2:
            sentences.insert(self.rng.randrange(len(sentences) + 1),
                             self.say(W.MENTIONED, t=thing.name, n=self.person()))
        self.add(sentences)
        self.facts.append(self.state_fact(thing, thing.name))

    def add_noun_facts(self):
        """"Where is the key?" does when the story has one key only."""
        if not self.heldout:
            nouns = [thing.noun for thing in self.things]
            for thing in self.things:
                if thing.name != thing.noun and nouns.count(thing.noun) == 1 and self.rng.random() < 0.15:
                    self.facts.append(self.state_fact(thing, thing.noun))

    def update(self):
        """A later sentence about a thing of the story and the fact that holds after it."""
        thing = self.pick(self.things)
        self.facts = [fact for fact in self.facts if fact.subject != thing.name]
        return self.change_thing(thing), self.state_fact(thing, thing.name)

    # --- people -------------------------------------------------------------------------------------------------------
    def job_thread(self):
        free = [job for job in W.JOBS if ("job", job) not in self.used]
        idle = [name for name in self.people if ("works", name) not in self.used]
        if not free or not idle:
            return
        name, job = self.pick(idle), self.pick(free)
        if not self.fits(name, job):
            return
        self.used.update([("job", job), ("works", name)])
        self.add([self.say(W.JOB, n=name, j=job, aj=with_article(job))])
        self.facts.append(Fact("job", [form.format(n=name) for form in W.ASK_JOB], f"{name} is {with_article(job)}.", name))
        self.facts.append(Fact("job", [form.format(j=job) for form in W.ASK_JOB_WHO], f"{name} is the {job}.", name))

    def favourite_thread(self):
        category = self.pick(list(W.FAVOURITES))
        name, value = self.person(), self.pick(W.FAVOURITES[category])
        if not self.fits(name, value) or (category, name) in self.used:
            return
        self.used.add((category, name))
        self.add([self.say(W.FAVOURITE, n=name, c=category, v=value)])
        forms = [form.format(n=name, c=category) for form in W.ASK_FAVOURITE]
        self.facts.append(Fact("favourite", forms, f"{name}'s favourite {category} is {value}.", name))

    def code_thread(self):
        door = self.pair(W.ADJECTIVES, W.DOORS)
        if door is None:
            return
        if self.rng.random() < 0.6:
            word, patterns, asks = "code", W.CODE, W.ASK_CODE
            value = "".join(str(self.rng.randrange(10)) for _ in range(3 + self.rng.randrange(2)))
        else:
            word, patterns, asks = "password", W.PASSWORD, W.ASK_PASSWORD
            value = self.pick(W.PASSWORDS)
        self.add([patterns[int(self.rng.random() * len(patterns))].format(d=door, v=value, n=self.person())])
        self.facts.append(Fact("code", [form.format(d=door) for form in asks], f"The {word} of the {door} is {value}.", door))

    # --- numbers ------------------------------------------------------------------------------------------------------
    def counted(self, item: str, *others):
        """A person not yet known to have `item`, or None."""
        for _ in range(20):
            name = self.person_for(item, *others)
            if (name, item) not in self.used:
                self.used.add((name, item))
                return name
        return None

    def count_fact(self, name: str, item: str, count: int):
        forms = [form.format(n=name, i=item) for form in W.ASK_COUNT]
        self.facts.append(Fact("count", forms, f"{name} has {self.number(count)} {item}.", name))

    def count_thread(self):
        item, count = self.pick(W.ITEMS), 2 + self.rng.randrange(9)
        name = self.counted(item)
        if name:
            self.add([self.say(W.COUNTED, n=name, k=self.number(count), i=item)])
            self.count_fact(name, item, count)

    def sum_thread(self):
        item = self.pick(W.ITEMS)
        first = self.counted(item)
        second = self.counted(item, first) if first else None
        if not second:
            return
        counts = [2 + self.rng.randrange(9), 2 + self.rng.randrange(9)]
        told = [self.number(count) for count in counts]
        if self.rng.random() < 0.35:
            self.add([self.say(W.COUNTED_BOTH, a=first, b=second, k=told[0], l=told[1], i=item)])
        else:
            self.add([self.say(W.COUNTED, n=name, k=count, i=item) for name, count in zip((first, second), told)])
        self.count_fact(first, item, counts[0])
        self.count_fact(second, item, counts[1])
        if self.rng.random() < 0.3:
            first, second, told = second, first, told[::-1]
        forms = [form.format(a=first, b=second, i=item) for form in W.ASK_SUM]
        answer = f"{first} has {told[0]} {item} and {second} has {told[1]}, so together they have {self.number(sum(counts))}."
        self.facts.append(Fact("sum", forms, answer, first))

    def change_thread(self):
        item, count = self.pick(W.ITEMS), 3 + self.rng.randrange(8)
        name = self.counted(item)
        if not name:
            return
        lost = self.rng.random() < 0.5
        change = 1 + self.rng.randrange(count - 1 if lost else 10)
        first = self.say(W.COUNTED, n=name, k=self.number(count), i=item)
        then = self.say(W.LOST if lost else W.GAINED, n=name, k=self.number(change), i=item)
        self.add([first, then])
        after = self.number(count - change if lost else count + change)
        verb = f"lost {self.number(change)}" if lost else f"got {self.number(change)} more"
        forms = [form.format(n=name, i=item) for form in W.ASK_COUNT]
        self.facts.append(Fact("change", forms, f"{name} had {self.number(count)} {item} and {verb}, so now {name} has {after}.", name))

    # --- order --------------------------------------------------------------------------------------------------------
    def events_thread(self):
        """Two to four events on days of one week, and which of two came first."""
        rng = self.rng
        events = [self.pair(W.EVENT_KINDS, W.EVENTS) for _ in range(2 + rng.randrange(3))]
        if None in events:
            return
        days = rng.sample(range(7), len(events))
        sentences = []
        for event, day in zip(events, days):
            name = self.person()
            sentences.append(self.pick(W.HELD).format(e=event, d=W.DAYS[day], n=name, m=self.person(name)))
            forms = [form.format(e=event) for form in W.ASK_DAY]
            self.facts.append(Fact("day", forms, f"The {event} was on {W.DAYS[day]}.", event))
        self.add(sentences)
        for _ in range(len(events) - 1):
            one, two = rng.sample(range(len(events)), 2)
            first = rng.random() < 0.6
            winner = one if (days[one] < days[two]) == first else two
            forms = [form.format(e=events[one], f=events[two]) for form in (W.ASK_FIRST if first else W.ASK_LATER)]
            answer = (f"The {events[one]} was on {W.DAYS[days[one]]} and the {events[two]} was on {W.DAYS[days[two]]}, "
                      f"so the {events[winner]} came {'first' if first else 'later'}.")
            if ("order", forms[0]) not in self.used:
                self.used.add(("order", forms[0]))
                self.facts.append(Fact("first", forms, answer, events[one]))

    def route_thread(self):
        """One to three places that a person goes to."""
        rng = self.rng
        free = [name for name in self.people if ("goes", name) not in self.used]
        if not free:
            return
        name = self.pick(free)
        inside = rng.random() < 0.3
        options = [place for place in (W.ROOMS if inside else W.LANDMARKS) if self.fits(name, place)]
        if len(options) < 3:
            return
        self.used.add(("goes", name))
        a, b, c = rng.sample(options, 3)
        count = self.pick((1, 2, 3, 3))
        chained = rng.random() < 0.6 or count == 3
        if count > 1 and rng.random() < 0.6:
            sentences = [self.pick(W.WENT_ALL if count == 3 else W.WENT_BOTH).format(n=name, a=a, b=b, c=c)]
            chained = True
        else:
            sentences = [self.say(W.WENT_IN if inside else W.WENT, n=name, a=a)]
            sentences += [self.pick(W.WENT_NEXT if chained else W.WENT_ON).format(n=name, a=start, b=end)
                          for start, end in ((a, b), (b, c))[:count - 1]]
        self.add(sentences)
        self.route_facts(name, "in" if inside else "at", (a, b, c)[:count], chained)

    def route_facts(self, name: str, preposition: str, places, chained: bool):
        """`chained`: the sentences name the place left behind, so that "after" can be asked."""
        last = places[-1]
        options = [(W.ASK_WENT_NOW, "", f"{name} is {preposition} the {last}.")]
        if len(places) == 1:
            options.append((W.ASK_WENT, "", f"{name} went to the {last}."))
        else:
            options.append((W.ASK_WENT_FIRST, "", f"{name} went to the {places[0]} first."))
            options.append((W.ASK_WENT_LAST, "", f"{name} went to the {last} last."))
        if len(places) > 1 and chained:
            k = self.rng.randrange(len(places) - 1)
            options.append((W.ASK_WENT_AFTER, places[k], f"After the {places[k]}, {name} went to the {places[k + 1]}."))
        for forms, place, answer in options:
            self.facts.append(Fact("route", [form.format(n=name, a=place) for form in forms], answer, name))

    def race_thread(self):
        race = self.pair(W.RACE_KINDS, W.RACES)
        if race is None:
            return
        first = self.person_for(race)
        second = self.person_for(race, first)
        third = self.person_for(race, first, second)
        self.add([self.pick(W.RACED).format(e=race, a=first, b=second, c=third)])
        for forms, answer in ((W.ASK_WON, f"{first} won the {race}."), (W.ASK_SECOND, f"{second} came second in the {race}."),
                              (W.ASK_THIRD, f"{third} came third in the {race}.")):
            self.facts.append(Fact("race", [form.format(e=race) for form in forms], answer, race))

    # --- what the story does not tell ---------------------------------------------------------------------------------
    def untold(self) -> Fact:
        """A question to which the story has no answer, often with words of the story."""
        rng = self.rng
        name, item, job = self.person(), self.pick(W.ITEMS), self.pick(W.JOBS)
        roll = rng.random()
        if roll < 0.5:
            adjective, noun = self.pick(W.ADJECTIVES), self.pick(W.NOUNS)
            if self.things and rng.random() < 0.6:
                noun = self.pick(self.things).noun
            thing = f"{adjective} {noun}"
            if thing not in self.used and ("only", noun) not in self.used:
                forms = self.pick((W.ASK_WHERE, W.ASK_WHO))
                return Fact("untold", [form.format(t=thing) for form in forms], W.NOT_TOLD, thing)
        elif roll < 0.7 and (name, item) not in self.used:
            return Fact("untold", [form.format(n=name, i=item) for form in W.ASK_COUNT], W.NOT_TOLD, name)
        elif roll < 0.8 and ("works", name) not in self.used:
            return Fact("untold", [form.format(n=name) for form in W.ASK_JOB], W.NOT_TOLD, name)
        elif roll < 0.9 and ("job", job) not in self.used:
            return Fact("untold", [form.format(j=job) for form in W.ASK_JOB_WHO], W.NOT_TOLD, job)
        elif roll >= 0.9:
            door = f"{self.pick(W.ADJECTIVES)} {self.pick(W.DOORS)}"
            if door not in self.used:
                return Fact("untold", [form.format(d=door) for form in W.ASK_CODE], W.NOT_TOLD, door)
        return self.untold()

    def text(self) -> str:
        """The sentences, in paragraphs for most stories."""
        rng = self.rng
        gap = self.pick(["\n\n", "\n\n", "\n", " "])
        parts = []
        left = 4 + rng.randrange(6)
        for _, sentence in self.lines:
            parts.append(sentence)
            left -= 1
            if left == 0:
                parts.append(gap)
                left = 4 + rng.randrange(6)
            else:
                parts.append(" ")
        return "".join(parts[:-1])
