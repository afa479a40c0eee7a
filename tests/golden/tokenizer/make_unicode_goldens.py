#!/usr/bin/env python3
"""Writes unicode.json: which characters Hugging Face's tokenizers match, by a pattern of one each.

  pip install tokenizers==0.23.3 && python make_unicode_goldens.py
"""
import json
import pathlib

from tokenizers import Regex, pre_tokenizers

CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co "
              "Cn").split()
OTHERS = [r"\p{Han}", r"\p{Cyrillic}", r"\w", r"[\w]", r"\s", r"\S", r"\d", r"\h", ".", "(?i)k", "(?i)s",
          "(?i)é", "(?i)[a-z]", r"(?i)\p{Lu}"]
CHARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, CHARS))


def matched(pattern):
    """The code points that the pattern matches: those that splitting there removes."""
    kept = bytearray(len(CHARS))
    for _, (begin, end) in pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(TEXT):
        kept[begin:end] = b"\1" * (end - begin)
    return [code for code, is_kept in zip(CHARS, kept) if not is_kept]


def describe(pattern, codes):
    """Their number, and a sum that tells which they are."""
    return {"pattern": pattern, "count": len(codes), "sum": sum(c * c for c in codes) % (1 << 62)}


def main():
    patterns = [r"\p{%s}" % name for name in CATEGORIES] + OTHERS
    golden = [describe(pattern, matched(pattern)) for pattern in patterns]
    path = pathlib.Path(__file__).with_name("unicode.json")
    path.write_text("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in golden) + "\n]\n")


if __name__ == "__main__":
    main()
