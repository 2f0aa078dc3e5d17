#!/usr/bin/env python3
"""Prints unicode_tables.inc: the code point classes as the Hugging Face tokenizers 0.20 see them.

    python3.11 -m pip install regex==2024.11.6
    python3.11 make_unicode_tables.py > unicode_tables.inc

The versions are chosen, not accidental: the tokenizers' regular expressions (Oniguruma) know Unicode 14.0, which is
Python 3.11's, and their grapheme clusters and \\w Unicode 16.0, which is that of regex 2024.11.6. All were compared with the
reference on every code point. Another version would make other tokens of the code points assigned in between.
"""

import sys
import unicodedata

import regex

assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
assert regex.__version__ == "2.5.148", regex.__version__  # what 2024.11.6 calls itself

GRAPHEME = {
    "kExtend": regex.compile(r"\p{GCB=Extend}|\p{GCB=ZWJ}|\p{GCB=SpacingMark}"),
    "kPrepend": regex.compile(r"\p{GCB=Prepend}"),
    "kControl": regex.compile(r"\p{GCB=Control}|\p{GCB=CR}|\p{GCB=LF}"),
}
WORD_CHARACTER = regex.compile(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]")


def word_class(char):
    return {"L": "kLetter", "N": "kNumber"}.get(unicodedata.category(char)[0])


def grapheme_class(char):
    return next((name for name, pattern in GRAPHEME.items() if pattern.match(char)), None)


def word_character(char):
    return "kYes" if WORD_CHARACTER.match(char) else None


def print_table(name, kind, classify):
    ranges = []
    for code in range(sys.maxunicode + 1):
        value = None if 0xD800 <= code <= 0xDFFF else classify(chr(code))
        if ranges and ranges[-1][2] == value and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, value])
    print(f"constexpr Range<{kind}> {name}[] = {{")
    line = "   "
    for first, last, value in ranges:
        if value is None:
            continue
        item = f" {{0x{first:X}, 0x{last:X}, {kind}::{value}}},"
        if len(line + item) > 100:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


print("// Made by make_unicode_tables.py; not edited by hand.")
print_table("kWordClasses", "WordClass", word_class)
print_table("kGraphemeClasses", "GraphemeClass", grapheme_class)
print_table("kWordCharacters", "WordCharacter", word_character)
