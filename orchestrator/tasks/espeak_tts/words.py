"""The words spoken: Speech Commands' vocabulary for the demo corpora, other words for pretraining and babble."""

from __future__ import annotations

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN_WORDS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "wow", "zero",
)  # fmt: skip
SILENCE, UNKNOWN = "_silence_", "_unknown_"
SUPERB_CLASSES = (*KEYWORDS, SILENCE, UNKNOWN)  # in the order of the Hugging Face `superb` data set, configuration ks

# One to three syllables; none is a word of Speech Commands (either version), or sounds like one, or like another here.
PRETRAINING_WORDS = (
    "acid", "amber", "anchor", "angle", "animal", "apple", "arrow", "autumn", "banana", "basket", "beach", "belt",
    "bicycle", "blanket", "border", "bottle", "branch", "bread", "bridge", "brother", "bucket", "butter",
    "button", "cabin", "cable", "camel", "candle", "canyon", "carpet", "castle", "cement", "chapter", "cherry",
    "chicken", "circle", "circus", "city", "clever", "cloud", "coffee", "comet", "copper", "corner", "cotton",
    "cousin", "crayon", "crystal", "curtain", "dancer", "desert", "diamond", "dinner", "doctor", "dolphin",
    "dragon", "dream", "eagle", "eleven", "elbow", "engine", "evening", "fabric", "family", "farmer", "father",
    "feather", "fiction", "finger", "flag", "forest", "fossil", "fountain", "frozen", "garden", "ginger", "glass",
    "gold", "guitar", "hammer", "handle", "harbor", "hazel", "helmet", "history", "holiday", "honey", "hotel",
    "hundred", "hunter", "icicle", "insect", "iron", "island", "jacket", "jelly", "jewel", "journey", "jungle",
    "kettle", "kitchen", "kitten", "ladder", "lantern", "leather", "lemon", "library", "lizard", "lobster",
    "lunch", "machine", "magnet", "manner", "marble", "market", "meadow", "melon", "metal", "million", "mirror",
    "monkey", "morning", "mother", "mountain", "museum", "music", "napkin", "needle", "nephew", "number", "ocean",
    "office", "olive", "onion", "orange", "orchid", "oven", "oyster", "packet", "paper", "parrot", "pencil",
    "pepper", "piano", "picture", "pillow", "planet", "pocket", "potato", "powder", "pumpkin", "puzzle", "quiet",
    "rabbit", "radio", "raven", "ribbon", "river", "robin", "rocket", "saddle", "salad", "sandwich", "season",
    "shadow", "shelter", "silver", "sister", "slipper", "spider", "spirit", "station", "student", "summer",
    "sunset", "table", "temple", "thunder", "ticket", "tiger", "timber", "tomato", "tunnel", "turtle", "uncle",
    "valley", "velvet", "village", "violin", "wagon", "wallet", "walnut", "window", "winter", "wisdom", "wizard",
    "wonder", "yellow", "zebra", "zipper",
)  # fmt: skip
