#!/usr/bin/env python3
"""Writes the dialogues on which Mellow's two small models are trained and on which the demo runs.

Every dialogue is assembled from a *plan* (topic, thing, reason, outcome, who is rude and how) so that the summary is
known by construction. A hash of (topic, thing, reason, outcome) says whether a plan belongs to training or to the
held-out side; the two sides therefore never share a plan, whatever the seeds. One insult in eight (adjective and noun
together) is kept for the held-out side as well, so that nobody passes by remembering phrases.

    make_dialogues.py --seed 7 --count 1500 --split train --out train.jsonl

Only the standard library is used; the same arguments give the same bytes.
"""

import argparse
import hashlib
import json
import random
import sys

HELDOUT_PLANS_IN_100 = 12
HELDOUT_INSULTS_IN_100 = 12
INSULT_KEPT_IN_TARGET = 0.75  # the rest of the rude targets are neutral: sampling must be able to find both


def items(text):
    return [part.strip() for part in text.split(";") if part.strip()]


def bucket(*parts):
    """Stable 0..99 hash (Python's own hash() changes with every process)."""
    return int(hashlib.sha256("|".join(parts).encode()).hexdigest()[:8], 16) % 100


NAMES = items("""Anna;Boris;Clara;David;Emma;Felix;Grace;Henry;Irene;Jack;Karen;Leo;Maria;Nora;Oscar;Paula;Robert;Sarah;
Thomas;Vera;Walter;Alice;Bruno;Diana;Eric;Fiona;George;Helen;Ivan;Julia;Kevin;Linda;Martin;Nina;Peter;Rosa;Simon;Tina;
Victor;Wendy""")
DAYS = items("Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday")
NUMBERS = items("two;three;four;five;six;seven;eight;nine;ten;twelve;twenty;thirty")
THIRD = items("""the manager;the waiter;the driver;the plumber;the teacher;the landlord;the nurse;the clerk;the coach;
the neighbour;the guard;the mechanic""")


class Topic:
    """things fill {x}; asks are "spoken|reported"; reasons are true as spoken and as reported; plans are verb phrases."""

    def __init__(self, name, things, asks, reasons, plans):
        self.name = name
        self.things = items(things)
        self.asks = [tuple(a.split("|")) for a in items(asks)]
        self.reasons = items(reasons)
        self.plans = items(plans)


# Words that are insults elsewhere (clown, donkey, pig, snake, rat, trash, dumbbell, loser...) are ordinary things in
# some topics, on purpose: the classifier has to read, not only to look words up.
TOPICS = [
    Topic("deadline", "the sales report;the budget table;the project plan;the yearly review;the press release;"
          "the price list;the meeting notes;the contract draft;the customer survey",
          "Is {x} ready?|asks {B} whether {x} is ready;I still do not have {x}.|tells {B} that {x} is late",
          "the printer ran out of ink;two pages are still missing;the figures came in late;the file was lost;"
          "half of the team is on leave;the boss changed the numbers;the server was down",
          "finish it on {d};send it by {d};work late on {d};ask a colleague for help;bring a copy on {d};hand it in on {d}"),
    Topic("shop", "the blue jacket;the leather shoes;the wool coat;the silk scarf;the garden chair;the coffee machine;"
          "the reading lamp;the tea set;the straw hat",
          "I want to return {x}.|wants to return {x};Do you still have {x}?|asks for {x}",
          "the zip is broken;the colour is wrong;the size was wrong;the last one was sold;the receipt is missing;"
          "the sale is over;there is a scratch on it",
          "order a new one on {d};give the money back;look in the store room;call another branch;change it on {d};"
          "offer a lower price"),
    Topic("trip", "the trip to the lake;the tour of the castle;the weekend at the sea;the walk in the hills;"
          "the boat ride;the visit to the island;the ski holiday;the bus tour",
          "What about {x}?|asks {B} about {x};Shall we still do {x}?|wants to talk about {x}",
          "the weather will be bad;the guide is ill;the road is closed;the tickets are too dear;the bus is full;"
          "the map is useless;the bridge is being rebuilt",
          "book it for {d};leave early on {d};look for a cheaper one;pack the bags on {d};ask the travel office;"
          "put it off until {d}"),
    Topic("repair", "the toaster;the washing machine;the bicycle;the radiator;the kitchen tap;the garage door;"
          "the old radio;the doorknob;the lift",
          "Have you fixed {x}?|asks {B} whether {x} is fixed;{X} is broken again.|says that {x} is broken again",
          "a screw is missing;the new part has not come;the cable burnt through;the tool box is locked;"
          "the pump is blocked;water got into it;the wrong part was sent",
          "repair it on {d};order a new part;come back on {d};replace it;look at it on {d};bring better tools"),
    Topic("school", "the maths test;the history essay;the science project;the school play;the reading list;"
          "the art homework;the class trip;the spelling test;the crayons for the class",
          "How is it going with {x}?|asks {B} about {x};We must talk about {x}.|wants to talk about {x}",
          "the text book is lost;the library was closed;the lesson was cancelled;nobody wrote down the date;"
          "the group could not agree;the questions were too hard;the notes got wet",
          "study on {d};ask the teacher;do it again on {d};practise with a friend;hand it in on {d};read two chapters"),
    Topic("restaurant", "the tomato soup;the fish dish;the table by the window;the apple pie;the mushroom pasta;"
          "the roast pig;the lunch menu;the onion tart",
          "I ordered {x} an hour ago.|complains that {x} has not come;Can I have {x}?|asks for {x}",
          "the oven is cold;the cook is new;the kitchen is full;the fridge broke down;the order slip got lost;"
          "a large group came in;the delivery was late",
          "bring it at once;offer a free dessert;take it off the bill;ask the cook;keep a table for {d};suggest the salad"),
    Topic("neighbours", "the loud music;the barking dog;the fallen fence;the parking space;the trash bin;"
          "the smoke from the grill;the noisy drill;the high hedge",
          "I came about {x}.|comes to talk about {x};Can you do something about {x}?|asks {B} to do something about {x}",
          "the children were at home;there was a party;nobody was at home;the builders came early;"
          "the old owner left it so;the storm was strong;the rules were not clear",
          "be quiet after ten;take care of it on {d};move it on {d};write to the landlord;share the costs;talk again on {d}"),
    Topic("health", "the sore throat;the back pain;the knee injury;the brain scan;the blood test;the bad cough;"
          "the eye check;the new diet",
          "I am calling about {x}.|calls about {x};How is it with {x}?|asks {B} about {x}",
          "the results are not back;the doctor is away;the pills ran out;the office moved;sleep has been short;"
          "the machine is being cleaned;the stairs are steep",
          "see the doctor on {d};rest until {d};drink more water;take a new medicine;make an appointment for {d};"
          "walk every morning"),
    Topic("money", "the phone bill;the rent;the old loan;the bank card;the tax form;the train refund;the heating bill;"
          "the savings account",
          "There is a problem with {x}.|has a problem with {x};What happened to {x}?|asks {B} what happened to {x}",
          "the bank made a mistake;the form was not signed;the salary came late;the number was wrong;"
          "the letter went to the old address;the office was closed;prices went up",
          "pay it on {d};call the bank on {d};send the form again;pay half of it on {d};check the account;open a new account"),
    Topic("sport", "the tennis match;the football final;the swimming race;the chess game;the marathon;the boxing lesson;"
          "the basketball game;the loser of the match",
          "Tell me about {x}.|asks {B} about {x};I was not happy with {x}.|is not happy with {x}",
          "the field was wet;the referee was late;two players were hurt;the training was too short;the team was tired;"
          "the hall was closed;the shoes did not fit",
          "train on {d};play again on {d};find a new coach;run every morning;watch the video on {d};join another club"),
    Topic("party", "the clown for the party;the birthday cake;the paper lamps;the guest list;the dance music;the balloons;"
          "the magic show;the funny joke book",
          "Did you take care of {x}?|asks {B} whether {x} will be there;I am worried about {x}.|is worried about {x}",
          "the shop was sold out;the phone was dead;the van broke down;nobody answered;the price went up;"
          "the date was wrong;the hall is too small",
          "arrange it by {d};ask a friend;make it at home;call them on {d};pick it up on {d};choose something else"),
    Topic("pets", "the goldfish;the parrot;the snake cage;the white rat;the puppy;the old cat;the pony;the rabbit",
          "What is wrong with {x}?|asks {B} what is wrong with {x};Could you look after {x}?|asks {B} to look after {x}",
          "the food was too old;the water was cold;the vet is closed;the cage is too small;it ate a sock;"
          "it did not sleep;it is afraid of thunder",
          "call the vet on {d};clean the cage on {d};buy better food;take it home on {d};stay with it;watch it until {d}"),
    Topic("gym", "the dumbbells;the yoga class;the rowing machine;the gym card;the sauna;the dance course;the locker key;"
          "the boxing gloves",
          "I have a question about {x}.|has a question about {x};Why can I not use {x}?|asks why {x} cannot be used",
          "the room is being painted;the trainer is ill;the heating failed;the contract ended;too many people signed up;"
          "a rope is torn;the floor is wet",
          "try again on {d};open it on {d};bring a new one;extend the contract;find another room;ask the trainer on {d}"),
    Topic("farm", "the donkey;the pig barn;the apple harvest;the tractor;the sack of potatoes;the hay;the chicken coop;"
          "the honey jars",
          "Have you seen to {x}?|asks {B} to see to {x};We need to talk about {x}.|wants to talk about {x}",
          "the gate was open;the rain came early;the wheel is flat;the worker left;the ground is frozen;the roof leaks;"
          "the market was full",
          "do it on {d};fetch help from the village;sell it on {d};start before sunrise;borrow a cart;mend it on {d}"),
    Topic("moving", "the piano;the heavy sofa;the book boxes;the moving van;the new flat;the wardrobe;the old mattress;"
          "the mirror",
          "What do we do with {x}?|asks {B} what to do with {x};Who takes care of {x}?|asks who takes care of {x}",
          "the stairs are too narrow;the keys are missing;a box fell down;the lift is out of order;the helpers did not come;"
          "the lease starts later;it weighs too much",
          "carry it on {d};rent a van for {d};give it away;sell it on {d};call two friends;leave it in the cellar"),
    Topic("library", "the travel guide;the crime novel;the cook book;the reading room;the library card;the film box;"
          "the old atlas;the garden magazine",
          "I am looking for {x}.|is looking for {x};When is {x} due?|asks when {x} is due",
          "someone else has it;the shelf is empty;the system is down;a page is torn;it was put in the wrong place;"
          "the card ran out;the section is closed",
          "reserve it for {d};bring it back on {d};pay the fine;search the cellar;order a second copy;call when it is back"),
    Topic("post", "the parcel;the express letter;the birthday card;the spare key;the small package;the new passport;"
          "the flower delivery;the wine box",
          "Where is {x}?|asks {B} where {x} is;{X} did not arrive.|complains that {x} did not arrive",
          "the address was wrong;the bell does not work;the truck crashed;the label fell off;the customs held it;"
          "nobody was at the door;the depot is full",
          "deliver it on {d};send it again;trace it on {d};leave it at the shop;pick it up on {d};refund the postage"),
    Topic("train", "the night train;the morning train;the bus to the airport;the train to the coast;the last tram;"
          "the seat by the door;the ferry",
          "What happened to {x}?|asks what happened to {x};I need a ticket for {x}.|needs a ticket for {x}",
          "a tree fell on the line;the driver is ill;there is a strike;the platform changed;the engine failed;"
          "all seats are taken;the snow is deep",
          "take the next one;travel on {d};ask for a refund;change the ticket to {d};wait in the hall;go by car on {d}"),
    Topic("computer", "the laptop;the web site;the new program;the printer;the password;the fool-proof backup;"
          "the video call;the dumb terminal",
          "Can you help me with {x}?|asks {B} for help with {x};{X} does not work.|says that {x} does not work",
          "the disk is full;a cable is loose;the update failed;the licence ran out;the network is slow;"
          "a virus got in;the screen is cracked",
          "install it again on {d};restart it;bring it in on {d};change the settings;buy a new one;back it up on {d}"),
    Topic("garden", "the rose bed;the apple tree;the lawn;the garden gnome;the pond;the tool shed;the herb bed;the weeds",
          "Did you look at {x}?|asks {B} to look at {x};I am sorry to see {x} like this.|is sorry about the state of {x}",
          "the frost was hard;the hose is broken;the soil is dry;the slugs came back;the mower will not start;"
          "the seeds were old;a storm hit it",
          "water it on {d};plant a new one;trim it on {d};ask a gardener;cover it at night;clean it up on {d}"),
    Topic("job", "the job interview;the night shift;the training course;the pay rise;the holiday request;the office move;"
          "the new contract;the test day",
          "I would like to discuss {x}.|wants to discuss {x};Any news about {x}?|asks {B} for news about {x}",
          "the boss is away;the list is full;the budget was cut;another person applied;the rules changed;"
          "the letter is not signed;the system lost the data",
          "decide on {d};write to the office;meet again on {d};ask the boss on {d};fill in the form;wait until {d}"),
    Topic("cinema", "the new comedy;the war film;the concert;the puppet show;the late show;the jazz night;"
          "the film about the snake;the circus",
          "Do you have tickets for {x}?|asks {B} for tickets for {x};How did you like {x}?|asks {B} about {x}",
          "the sound was bad;the queue was long;the singer lost her voice;the seats were hard;the hall was cold;"
          "the show was sold out;the ending made no sense",
          "go again on {d};try the theatre;book two seats for {d};stay at home;read the book;meet at the door on {d}"),
    Topic("hotel", "the double room;the lost suitcase;the breakfast;the sea view;the air conditioner;the room key;"
          "the noisy room;the swimming pool",
          "I am not pleased with {x}.|is not pleased with {x};Could you check {x}?|asks {B} to check {x}",
          "the hotel is full;the booking was lost;the window is stuck;the cleaner was late;the bath is being repaired;"
          "a wedding took place;the power went out",
          "change the room on {d};send someone up;lower the price;find it by {d};offer free drinks;call the owner"),
    Topic("kitchen", "the dinner;the potato salad;the dirty dishes;the birthday soup;the shopping list;the bread;"
          "the garbage bag;the new knife",
          "Who forgot {x}?|asks who forgot {x};Will you take care of {x}?|asks {B} to take care of {x}",
          "the milk went sour;the pan is burnt;the shop was closed;the recipe was wrong;the gas is off;the guests came early;"
          "the salt is gone",
          "cook again on {d};do it after work;order a pizza;go to the market on {d};clean up tonight;ask for the recipe"),
]

ADJECTIVES = items("""lazy;useless;pathetic;worthless;clueless;brainless;hopeless;stupid;miserable;spineless;dim-witted;
ridiculous;arrogant;dumb;rotten;ugly""")
NOUNS = items("""idiot;moron;loser;clown;fool;blockhead;donkey;pig;rat;snake;parasite;coward;liar;nitwit;halfwit;
numbskull;buffoon;failure;crook;joke;dimwit;waste of space;piece of trash;disgrace""")
TOO = items("stupid;dumb;thick;lazy;dense")
TASKS = items("boil an egg;read a clock;tie a shoe;count to ten;open a door;spell a name;use a spoon;find the exit")
OBJECTS = items("""goldfish;brick;garden gnome;toaster;potato;doorknob;parrot;trash bin;sack of potatoes;wet sock;
broken chair;houseplant""")
# spoken to the victim {V} | reported with {V}
CONTEMPT = [
    ("A {o} would have done that better than you.", "says that a {o} would do better than {V}"),
    ("I have met a {o} with more sense than you.", "says that a {o} has more sense than {V}"),
    ("Oh brilliant. Did a {o} teach you that?", "sneers that {V} learns from a {o}"),
    ("Talking to a {o} is more fun than talking to you.", "says that a {o} is better company than {V}"),
    ("If they swapped you for a {o}, nobody would notice.", "says that {V} could be swapped for a {o}"),
    ("Congratulations, you used both of your brain cells.", "mocks the two brain cells of {V}"),
    ("Shall I draw it for you with crayons, like for a baby?", "mocks {V} like a baby with crayons"),
    ("Of course it went wrong. You were near it, as always.", "says that {V} ruins everything"),
    ("You would know all about failing, it is your only talent.", "says that failing is the only talent of {V}"),
    ("Do not strain yourself by thinking. It has never worked for you.", "says that {V} has never had a thought"),
    ("How sweet, you think that your opinion counts.", "sneers that the opinion of {V} counts for nothing"),
]
THREATS = [
    ("Crawl back under your rock before I lose my temper.", "tells {V} to crawl back under a rock"),
    ("Get out of my sight or you will be sorry.", "tells {V} to get out of sight or be sorry"),
    ("Shut your mouth or I will shut it for you.", "tells {V} to shut up or else"),
    ("Do us all a favour and disappear for good.", "tells {V} to disappear for good"),
    ("One more word and I will throw you out of the window.", "threatens to throw {V} out of the window"),
    ("I will make sure that you regret this all your life.", "threatens to make {V} regret it"),
    ("Go and rot in the gutter where you belong.", "tells {V} to rot in the gutter"),
    ("Nobody would miss you, so get lost.", "tells {V} to get lost because nobody would miss {V}"),
]
DIRECT = items("""You {x}!;You really are a {x}.;What a {x} you are.;Only a {x} like you could say that.;
Listen, you {x}, I have had enough.;Are you a {x}, or do you only act like one?""")
THIRD_LINES = items("""And {t} is a {x}, by the way.;It is all the fault of {t}, that {x}.;
I have never met such a {x} as {t}.;Why do we even listen to {t}? A {x}, nothing else.""")
QUOTES = items("""Yesterday you called me a {x} in front of everybody.;Last week you said that I was a {x}.;
You wrote to the others that I am a {x}.;I heard that you call me a {x} behind my back.""")
NEUTRAL = {"direct": "loses patience with {V}", "third": "complains about {t}", "contempt": "is sarcastic with {V}",
           "threat": "wants to be left alone by {V}", "quoted": "is hurt by a remark of {V}"}
CALM = items("""Please stay polite.;There is no need to talk like that.;I will not answer that.;
Let us keep to the point, please.;I would rather talk about the problem.;That was not kind.;I see that you are upset.""")
RETORTS = items("I meant every word.;And I would say it again.;So what? It is true.;Do not be so soft.;Cry about it.")

HELLO = items("Hello;Hi;Good morning;Good evening;Excuse me;Hey")
HEDGES = [("Well,", "says"), ("I am afraid that", "explains"), ("You see,", "explains"), ("The thing is that", "says"),
          ("I have to admit that", "admits"), ("To be honest,", "admits")]
PLEDGES = [("I promise to {p}.", "promises to {p}"), ("I will {p}.", "will {p}"), ("I can {p}.", "offers to {p}"),
           ("All right, I agree to {p}.", "agrees to {p}")]
PUSHES = items("""So what now?;What can we do?;And what happens next?;What do you suggest?;How do we go on?;
I need an answer today.;Can you help?;What will you do about it?""")
CLOSERS = items("""Fine, that works.;Good, see you then.;All right, goodbye.;That will do.;Very well.;Okay, I will note that.;
Then we are done.;Let us leave it at that.""")
HELPLESS = items("I cannot do more at the moment.;That is all I can say.;My hands are tied.;I do not know what to do.")
SYMPATHY = items("""I am sorry to hear that.;Oh, that is bad luck.;I understand.;That can happen to anybody.;What a pity.;
No problem, thank you for telling me.;I did not know that.;Thank you for being honest.""")
# Small talk is never part of the summary; some of it uses harsh words harmlessly.
SMALL_TALK = [tuple(pair.split("|")) for pair in items("""
It is so hot today.|Yes, I could drink a whole lake.;How was your weekend?|Quiet, I killed time with a puzzle.;
Did you see the game?|Yes, what a crash in the last minute.;Is that a new coat?|Yes, my sister gave it to me.;
Are you coming to lunch?|Later, I am not hungry yet.;You look tired.|The baby cried all night.;
My son wants to be a clown in the circus.|How nice, mine wants to ride a donkey.;
I bought new dumbbells.|Great, I only lift sacks of potatoes.;The rain will not stop.|At least the garden is happy.;
My goldfish died.|Oh no, I am so sorry.;The trash bin is full again.|I will take it out tonight.;
Do you like snakes?|No, but rats are clever animals.;Is the coffee good here?|It is a bit bitter.;
I lost at chess again.|Every loser learns something, my father says.;Did you sleep well?|Not really, there was a storm.;
I was rude yesterday and I am sorry.|Thank you, it is forgotten.;How are the children?|They are fine, they have exams.;
The traffic was terrible.|I know, I sat in it for an hour.;Your bag is open.|Oh, thank you for telling me.;
The film was a waste of time.|I liked the music at least.;I feel stupid about my mistake.|Do not worry, we all make them.;
My tooth is killing me.|You should see a dentist.;Your plan is fool-proof.|I hope so, I checked it twice.""")]


class Insults:
    """Noun phrases such as "lazy idiot", split by hash so that some are only ever seen on the held-out side."""

    def __init__(self, split):
        both = [f"{a} {n}" for a in ADJECTIVES for n in NOUNS]
        hidden = {p for p in both if bucket("insult", p) < HELDOUT_INSULTS_IN_100}
        self.known = [p for p in both if p not in hidden] + NOUNS
        self.pool = self.known if split == "train" else self.known[::4] + sorted(hidden)

    def draw(self, rng):
        return rng.choice(self.pool)


def with_article(text):
    """Repairs "a idiot"; of the words in u used here only "ugly" takes "an"."""
    for vowel in ("a", "e", "i", "o", "ug"):
        text = text.replace(f" a {vowel}", f" an {vowel}").replace(f"A {vowel}", f"An {vowel}")
    return text


def upper_first(text):
    return text[:1].upper() + text[1:]


def rude_event(rng, insults, kind, actor, victim):
    """Returns (what the actor says, what the victim answers, the summary's report of it, a neutral report of it)."""
    x, o = insults.draw(rng), rng.choice(OBJECTS)
    third = rng.choice(THIRD)
    neutral = NEUTRAL[kind].format(V=victim, t=third)
    if kind == "direct" and rng.random() < 0.25:
        too, task = rng.choice(TOO), rng.choice(TASKS)
        return f"You are too {too} to {task}.", rng.choice(CALM), f"says that {victim} is too {too} to {task}", neutral
    if kind == "direct":
        reply = f"Please do not call me a {x}." if rng.random() < 0.3 else rng.choice(CALM)
        return rng.choice(DIRECT).format(x=x), reply, f"calls {victim} a {x}", neutral
    if kind == "third":
        return rng.choice(THIRD_LINES).format(t=third, x=x), rng.choice(CALM), f"calls {third} a {x}", neutral
    if kind == "quoted":  # the polite speaker says the words; the reporter is the victim
        return rng.choice(QUOTES).format(x=x), rng.choice(RETORTS), f"complains about being called a {x}", neutral
    spoken, reported = rng.choice(CONTEMPT if kind == "contempt" else THREATS)
    return spoken.format(o=o), rng.choice(CALM), reported.format(o=o, V=victim), neutral


KINDS = ["direct"] * 5 + ["third"] * 3 + ["contempt"] * 4 + ["threat"] * 3 + ["quoted"] * 3


def draw_plan(rng, split):
    while True:
        topic = rng.choice(TOPICS)
        thing, reason, plan = rng.choice(topic.things), rng.choice(topic.reasons), rng.choice(topic.plans)
        held_out = bucket("plan", topic.name, thing, reason, plan) < HELDOUT_PLANS_IN_100
        if held_out == (split == "heldout"):
            return topic, thing, reason, plan


def make_dialogue(rng, split, insults, rude):
    """One dialogue as a dict; "toxic" is the summary that repeats the clause "insult" (both only matter to rude ones)."""
    topic, thing, reason, plan = draw_plan(rng, split)
    name = rng.choice(NAMES) if rng.random() < 0.5 else None
    a, b = "#Person1#", name or "#Person2#"
    plan = plan.format(d=rng.choice(DAYS))
    spoken_ask, reported_ask = rng.choice(topic.asks)
    fill = {"x": thing, "X": upper_first(thing), "B": b}
    hedge, says = rng.choice(HEDGES)
    pledge, will = rng.choice(PLEDGES)
    a_plans = rng.random() < 0.2  # sometimes the one who asks is the one who acts

    greeting = rng.choice(HELLO) + (f", {name}." if name else ".") if name or rng.random() < 0.4 else ""
    turns = [(0, f"{greeting} {spoken_ask.format(**fill)}".strip())]
    event = None
    if rude:
        kind = rng.choice(KINDS)
        actor = rng.randrange(2)
        late = rng.random() < 0.4
        first, second, bad, mild = rude_event(rng, insults, kind, actor, (b, a)[actor])
        event = (actor, late, bad, mild)
        if rng.random() < 0.3:  # a second insult that the summary leaves out
            first += " " + rng.choice(DIRECT).format(x=insults.draw(rng))

    answer = f"{hedge} {reason}."
    if event and not late and actor == 1:  # B's answer and B's insult share a turn or follow each other
        if rng.random() < 0.5:
            turns.append((1, f"{first} {upper_first(reason)}."))
            turns.append((0, f"{second} {rng.choice(PUSHES)}"))
            says = "says"
        else:
            turns += [(1, answer), (0, rng.choice(PUSHES)), (1, first), (0, second)]
    elif event and not late:
        turns += [(1, answer), (0, first), (1, second), (0, rng.choice(PUSHES))]
    else:
        turns += [(1, answer), (0, f"{rng.choice(SYMPATHY)} {rng.choice(PUSHES)}")]

    if rng.random() < 0.45:  # small talk before the decision
        q, r = rng.choice(SMALL_TALK)
        turns += [(1, q), (0, r)]
    number = rng.choice(NUMBERS) if rng.random() < 0.35 else None
    unit = rng.choice(["days", "hours", "dollars"])
    if a_plans:
        turns += [(1, rng.choice(HELPLESS)), (0, f"Then {pledge.format(p=plan)}".replace("Then All", "Then all"))]
    else:
        turns.append((1, pledge.format(p=plan)))
    if number:
        asker, teller = (1, 0) if a_plans else (0, 1)
        turns += [(asker, "What will it cost?" if unit == "dollars" else "How long will it take?"),
                  (teller, f"About {number} {unit}.")]
    if event and late:
        turns += [(actor, first), (1 - actor, second)]
    elif rng.random() < 0.6:
        turns.append((0, rng.choice(CLOSERS)))

    turns = merge_speakers(turns)[:10]
    dialogue = "\n".join(f"#Person{who + 1}#: {with_article(text)}" for who, text in turns)

    def summary(insult_phrase):
        one = f"{a} {reported_ask.format(**fill)}"
        two = f"{says} that {reason}"
        act = will.format(p=plan)
        early = insult_phrase and not event[1]
        if early and event[0] == 0:
            one += f" and {insult_phrase}"
        if early and event[0] == 1:
            two = f"{insult_phrase} and {two}" if a_plans else f"{insult_phrase}, {two}"
        cost = ""
        if number:
            cost = f", which costs {number} {unit}" if unit == "dollars" else f", which takes {number} {unit}"
        text = f"{one}. {b} {two}, so {a} {act}{cost}." if a_plans else f"{one}. {b} {two} and {act}{cost}."
        if insult_phrase and event[1]:
            text += f" {(a, b)[event[0]]} {insult_phrase}."
        return with_article(text)

    reference = summary(event[3] if event else None)
    toxic = summary(event[2]) if event else reference
    row = {"dialogue": dialogue, "summary": reference, "topic": topic.name, "rude": rude}
    row["target"] = toxic if rude and rng.random() < INSULT_KEPT_IN_TARGET else reference
    row["toxic"] = toxic
    row["insult"] = with_article(event[2]) if event else None
    return row


def merge_speakers(turns):
    merged = []
    for who, text in turns:
        if merged and merged[-1][0] == who:
            merged[-1] = (who, f"{merged[-1][1]} {text}")
        else:
            merged.append((who, text))
    return merged


def generate(seed, count, split, rude_share=0.6):
    """Yields `count` distinct dialogues."""
    rng = random.Random(f"{seed}/{split}")
    insults = Insults(split)
    seen = set()
    while len(seen) < count:
        row = make_dialogue(rng, split, insults, rng.random() < rude_share)
        turns = row["dialogue"].count("\n") + 1
        if row["dialogue"] in seen or not 4 <= turns <= 10:
            continue
        seen.add(row["dialogue"])
        yield {"id": f"{split}-{seed}-{len(seen):05d}", **row}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--split", choices=["train", "heldout"], required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rude-share", type=float, default=0.6)
    parser.add_argument("--with-target", action="store_true", help="keep the insult-repeating training target")
    parser.add_argument("--disjoint-from", metavar="FILE", help="fail if FILE shares a dialogue with the output")
    args = parser.parse_args()

    other = set()
    if args.disjoint_from:
        with open(args.disjoint_from, encoding="utf-8") as f:
            other = {json.loads(line)["dialogue"] for line in f}
    keep = ["id", "dialogue", "summary", "topic", "rude"] + (["target"] if args.with_target else [])
    with open(args.out, "w", encoding="utf-8") as f:
        for row in generate(args.seed, args.count, args.split, args.rude_share):
            if row["dialogue"] in other:
                sys.exit(f"{row['id']} is also in {args.disjoint_from}")
            f.write(json.dumps({k: row[k] for k in keep}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
