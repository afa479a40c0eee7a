#!/usr/bin/env python3
"""Makes the tokenizer goldens: small tokenizers of each common style, and what Hugging Face's library does with them.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3
    venv/bin/python make_goldens.py

Everything comes from seeds. Written beside this script, and read by tests/unit/text/golden_test.cpp:
  texts.json              the texts, as hexadecimal bytes (some are not valid UTF-8), and code point ranges
  NAME.tokenizer.json     a tokenizer trained on a corpus made here
  NAME.expected.json      its ids and decoded texts; hashes are FNV-1a, of the ids as little-endian 32-bit numbers or
                          of UTF-8 bytes
  components.json         normalizers, pre-tokenizers and decoders on their own
"""

import json
import random
import struct
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
BIG_TEXT_BYTES = 1_000_000

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                  r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
O200K_PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                 r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                 r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K_PATTERN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
                  r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
DEEPSEEK_WORDS = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                  r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
BLOOM_PATTERN = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"

WORDS = """the a lamp key box river night old house garden Anna Bela carries finds keeps opens walks under between
because where first then never again small bright wooden letter bread winter don't it's we're I'll they've 12 305 2024
3.14 function return value index while print string hello world naïve café über straße привет мир здравствуй 你好 世界
中文 日本語 こんにちは 한국어 안녕 สวัสดี مرحبا עולם 😀 👍 -> == != ;""".split()


def make_corpus(seed: int, num_lines: int) -> list[str]:
    rng = random.Random(seed)
    lines = []
    for _ in range(num_lines):
        words = [rng.choice(WORDS) for _ in range(rng.randint(4, 14))]
        words = [w.capitalize() if rng.random() < 0.1 else w for w in words]
        lines.append(" ".join(words) + rng.choice([".", "?", "!", ",\n", ":\n\n", "  ", "\t"]))
    return lines


def hard_texts() -> list[bytes]:
    texts = [
        "", " ", "  ", "\n", "\r\n", "\t", "a", "Hello, world!", " Hello", "Hello ", "  two  spaces  ", "a\n\n\nb",
        "line\r\nline\r\n\r\nend", "tab\tand\t\ttabs", " " * 33, "\n" * 17, " \n \n ", "x" + " " * 10, " " * 10 + "x",
        "trailing   \n", "\u00a0nbsp\u00a0\u00a0", "\u3000ideographic\u3000space", "\u2028line sep\u2029par", "\x85nel",
        "\u180emongolian\u180e", "\u200bzero\u200bwidth", "\ufeffBOM", "nul\x00inside\x00", "\x00", "\x01\x02\x1b[31mred\x7f",
        "don't won't it's I'll we've they're I'd I'm", "DON'T WON'T IT'S I'LL WE'VE THEY'RE I'D I'M", "'S'T'RE'VE'M'LL'D",
        "'\u017f '\u212a x'\u017f", "''s '' '", "o'clock rock'n'roll", "1", "12", "123", "1234", "1234567890" * 5, "3.14159",
        "1,000,000.00", "0x1F 1e-9", "١٢٣٤٥ ໑໒໓ ⅷ ½ ²", "第123号", "中文字符没有空格", "你好，世界！", "日本語とカタカナ、漢字。",
        "한국어 문장입니다.", "안녕", "ภาษาไทยไม่มีช่องว่าง", "สวัสดีครับ", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ", "שלום עולם",
        "नमस्ते दुनिया", "தமிழ் மொழி", "Ελληνικά ΣΊΣΥΦΟΣ", "Привет, мир!", "İstanbul ıI", "ǅ ǆ Ǆ", "ﬁ ﬂ ﬀ ﷺ", "Ⅷ ① ㊙ ㍿",
        "e\u0301 é", "n\u0303 ñ o\u0308\u0304", "a\u0315\u0300\u05ae\u0301b", "q\u0307\u0323", "\u0301leading mark", "Å Å Å",
        "Z\u0351\u036b\u0343\u036a\u0302\u0301a\u0338\u0327lgo", "\u1100\u1161\u11a8 각", "😀", "😀😃😄", "👨‍👩‍👧‍👦", "👍🏽 🏳️‍🌈 🇩🇪🇫🇷", "❤️ ☺️",
        "text😀text", "🤦🏼‍♂️!", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𐍈 𒀀", "\U0010ffff", "\ue000 private", "\ufffd", "�� replaced", "a\ufffdb",
        "def f(x):\n    return x ** 2  # comment\n", "if (a != b && c >= d) { x->y = \"z\\n\"; }", "https://example.org/a?b=c&d=%20#e",
        "<html><body class=\"x\">&amp;</body></html>", "{\"key\": [1, 2, {\"n\": null}]}", "snake_case camelCase PascalCase kebab-case",
        "$100 €50 £3 ¥9", "#tag @user ...", "…—–‘’“”«»", "!!!???", "---", "===>", "((()))[[[]]]", "\\ \\\\ \\n", "/path//to/file",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababababab", "\u2581", "\u2581\u2581a \u2581b", "a\u2581b", "<unk>", "<s>", "</s> <s>",
        "<s>Hello</s>", "before <s> after", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n", "a<|endoftext|>b", "<|im_start",
        "<|im_start|><|im_start|>", "<|begin_of_text|>x<|eot_id|>", "<0x0A> <0xFF>", "<tool_call>{}</tool_call>", "<mask>",
        " <mask> ", "a <mask> b", "a<mask>b", "  <mask>  <mask>  ", "<m1>x<m1>", "x <m1> y", "<end> <END> a<end>", "[WORD]", "a[WORD]b", "a [WORD] b",
        "_[WORD]_", "[WORD][WORD]", "é[WORD]", "Upper Token", "UPPER TOKEN", "upper token", "UPPER   TOKEN", "ÜPPER", "<abc><ab><abcd>",
        "<abcde>", "<ab", "\n<mask>\n", "\u3000<mask>\u3000", "ﬁ<Norm>ﬁ<norm>", "the lamp", "Anna keeps the old letter in the wooden box.",
    ]
    data = [t.encode("utf-8") for t in texts]
    data += [
        b"\xff", b"\xfe\xff", b"a\x80b", b"\xc3", b"\xc3\x28", b"\xe4\xbd", b"\xe4\xbd\xa0\xe4\xbd", b"\xf0\x9f\x98", b"\xf0\x9f\x98 x",
        b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf", b"ok \xe2\x82 broken \xe2\x28\xa1 end", b"\x80\x80\x80", b"\xf0\x9f\x92\xff\x92", b"<s>\xff<s>",
    ]
    return data


def is_settled(code_point: int) -> bool:
    """Assigned since Unicode 3.2 and of the same category: all libraries involved agree on these."""
    category = unicodedata.ucd_3_2_0.category(chr(code_point))
    return category == unicodedata.category(chr(code_point)) and category not in ("Cn", "Cs", "Co")


def random_texts(seed: int, num_texts: int) -> list[bytes]:
    rng = random.Random(seed)
    pools = [list(range(0x20, 0x7F)), list(range(0, 0x250)), list(range(0x300, 0x370)), list(range(0x370, 0x600)),
             list(range(0x900, 0xE80)), list(range(0x1E00, 0x2100)), list(range(0x2100, 0x2C00)), list(range(0x3000, 0x3100)),
             list(range(0x4E00, 0x9FA6)), list(range(0xAC00, 0xD7A4)), list(range(0xFB00, 0xFFE0)),
             [0x1F600 + i for i in range(0x40)] + [0x200D, 0xFE0F, 0x1F3FD], [0x20, 0x0A, 0x0D, 0x09, 0xA0, 0x3000, 0x2581, 0x27],
             [c for c in range(0x10000, 0x20000)]]
    texts = []
    for _ in range(num_texts):
        chars = []
        while len(chars) < rng.randint(1, 40):
            pool = rng.choice(pools)
            for _ in range(rng.randint(1, 6)):
                c = rng.choice(pool)
                if is_settled(c) or 0x1F600 <= c < 0x1F640 or c == 0x1F3FD:
                    chars.append(chr(c))
            if rng.random() < 0.3:
                chars.append(rng.choice(WORDS))
        data = "".join(chars).encode("utf-8")
        if rng.random() < 0.15:  # break it
            data = bytearray(data)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            data = bytes(data)
        texts.append(data)
    return texts


def settled_ranges() -> list[list[int]]:
    ranges = []
    for c in range(0x110000):
        if not is_settled(c):
            continue
        if ranges and ranges[-1][1] == c:
            ranges[-1][1] = c + 1
        else:
            ranges.append([c, c + 1])
    return ranges


def fnv1a(data: bytes, bits: int = 32) -> str:
    prime, value = (0x01000193, 0x811C9DC5) if bits == 32 else (0x100000001B3, 0xCBF29CE484222325)
    for byte in data:
        value = (value ^ byte) * prime & ((1 << bits) - 1)
    return f"{value:0{bits // 4}x}"


def hash_ids(ids: list[int], bits: int = 32) -> str:
    return fnv1a(struct.pack(f"<{len(ids)}i", *ids), bits)


def train(tokenizer: Tokenizer, trainer: trainers.BpeTrainer) -> Tokenizer:
    tokenizer.train_from_iterator(make_corpus(7, 1500), trainer)
    return tokenizer


def byte_level_trainer(vocab_size: int, special_tokens: list[str]) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special_tokens, show_progress=False,
                               initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))


def gpt2_style() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return train(t, byte_level_trainer(700, ["<|endoftext|>"]))


def gpt2_prefix_style() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t = train(t, byte_level_trainer(400, ["<s>", "</s>", "<unk>"]))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                     special_tokens=[("<s>", 0), ("</s>", 1)])
    return t


def llama3_style() -> Tokenizer:
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(LLAMA3_PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t = train(t, byte_level_trainer(700, []))
    # Whole words without merges that lead to them show that ignore_merges works.
    spec = json.loads(t.to_str())
    spec["model"]["vocab"].update({"Ġcarries": 700, "Ġbetween": 701} if "Ġcarries" not in spec["model"]["vocab"] else {})
    spec["model"]["merges"] = [m for m in spec["model"]["merges"] if "".join(m) not in ("Ġgarden", "Ġhouse", "Ġletter")]
    t = Tokenizer.from_str(json.dumps(spec))
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      special_tokens=[("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])])
    return t


def qwen_style() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(QWEN_PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t = train(t, byte_level_trainer(700, []))
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    return t


def metaspace_trainer(vocab_size: int) -> trainers.BpeTrainer:
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    return trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, limit_alphabet=90, show_progress=False)


def without_byte_tokens(t: Tokenizer) -> Tokenizer:
    """The trainer made the byte tokens special; in real files only the model knows them."""
    spec = json.loads(t.to_str())
    spec["added_tokens"] = [a for a in spec["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(spec))


LLAMA_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]


def with_bos(t: Tokenizer) -> Tokenizer:
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return t


def llama2_style() -> Tokenizer:
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()  # for training only: merges stay inside words
    t = without_byte_tokens(train(t, metaspace_trainer(700)))
    spec = json.loads(t.to_str())
    spec["pre_tokenizer"] = None
    spec["model"]["merges"] = [" ".join(m) for m in spec["model"]["merges"]]  # the older form
    t = Tokenizer.from_str(json.dumps(spec))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence(LLAMA_DECODER)
    return with_bos(t)


def mistral_style() -> Tokenizer:
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t = without_byte_tokens(train(t, metaspace_trainer(600)))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.add_tokens([AddedToken(word, normalized=True) for word in ("lamp", "river", "2024")])
    t.decoder = decoders.Sequence(LLAMA_DECODER)
    return with_bos(t)


def metaspace_style() -> Tokenizer:
    """No byte fallback: unknown characters become <unk>, each for itself."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", "<s>"], limit_alphabet=80, show_progress=False)
    t = train(t, trainer)
    t.decoder = decoders.Metaspace(prepend_scheme="always", split=True)
    return t


def flags_style() -> Tokenizer:
    """Added tokens with every flag, behind normalizers that change text."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.Punctuation()])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", "<s>"], limit_alphabet=80, show_progress=False,
                                  continuing_subword_prefix="##", end_of_word_suffix="</w>")
    t = train(t, trainer)
    t.add_tokens([
        AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False, special=True),
        AddedToken("<m1>", lstrip=False, rstrip=True, normalized=False, special=False),
        AddedToken("[WORD]", single_word=True, normalized=False, special=False),
        AddedToken("Upper Token", normalized=True, special=False),
        AddedToken("ÜPPER", normalized=True), AddedToken("<end>", normalized=True, special=True),
        AddedToken("<Norm>", normalized=True, lstrip=True, rstrip=True),
        AddedToken("<ab", normalized=False), AddedToken("<abc>", normalized=False), AddedToken("<abcd", normalized=False),
        AddedToken("  ", normalized=False), AddedToken("lamp", single_word=True, normalized=True),
    ])
    t.post_processor = processors.TemplateProcessing(single="<s>:0 $A:0 <s>:0 <unk>:1", pair="$A $B",
                                                     special_tokens=[("<s>", 1), ("<unk>", 0)])
    return t


STYLES = [gpt2_style, gpt2_prefix_style, llama3_style, qwen_style, llama2_style, mistral_style, metaspace_style, flags_style]


def expected_of(t: Tokenizer, texts: list[str], num_hard: int, bigs: list[str]) -> dict:
    out = {"hard_ids": [], "hard_decoded": [], "hashes": [], "random_ids": [], "big": []}
    for i, text in enumerate(texts):
        t.encode_special_tokens = False
        parsed = t.encode(text, add_special_tokens=False).ids
        full = t.encode(text, add_special_tokens=True).ids
        t.encode_special_tokens = True
        hashes = [hash_ids(parsed), hash_ids(full), hash_ids(t.encode(text, add_special_tokens=False).ids),
                  hash_ids(t.encode(text, add_special_tokens=True).ids)]
        hashes += [fnv1a(t.decode(full, skip_special_tokens=skip).encode()) for skip in (False, True)]
        out["hashes"].append(" ".join(hashes))
        if i < num_hard:
            out["hard_ids"].append(parsed)
            out["hard_decoded"].append(t.decode(parsed, skip_special_tokens=False))
    t.encode_special_tokens = False
    for text in bigs:
        ids = t.encode(text, add_special_tokens=False).ids
        out["big"].append([len(ids), hash_ids(ids, 64), fnv1a(t.decode(ids, skip_special_tokens=True).encode(), 64)])
    rng = random.Random(11)
    for _ in range(80):
        ids = [rng.randrange(t.get_vocab_size()) for _ in range(rng.randint(0, 24))]
        out["random_ids"].append([ids, *(fnv1a(t.decode(ids, skip_special_tokens=s).encode()) for s in (False, True))])
    return out


def split_specs() -> list[dict]:
    def split(pattern, behavior="Isolated", invert=False):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    specs = []
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            specs.append(split({"String": " "}, behavior, invert))
            specs.append(split({"Regex": r"\s|a+"}, behavior, invert))
        specs.append({"type": "Punctuation", "behavior": behavior})
    patterns = [GPT2_PATTERN, LLAMA3_PATTERN, QWEN_PATTERN, O200K_PATTERN, CL100K_PATTERN, DEEPSEEK_WORDS, DEEPSEEK_CJK, BLOOM_PATTERN,
                r"\s", r"\S+", r"\w+", r"\W", r"\d", r"\D+", r"\h", r"\H", r"\b", r"\B", r"\R", r"[\w']+", r"[^\w\s]", r"[^\S\n]+",
                r"[\Sx]", r"^.", r".$", r"^", r"$", r"\A.", r".\z", "", "x*", r"(?<=a)b", r"(?<!a)b", r"(?=b)", r"(?>a+)b", r"(?i)k|s",
                r"(?i:LINE)x?", r"(a|b)+?", r"a{2}", r"a{2,}", r"a{,3}", r"a{2,3}?", r"(?:ab){2,3}+", r"a{", r"a{x}", r"[a-cx-z]",
                r"[^a-c]", r"[a\-c]", r"[-a]", r"[a-]", r"[\s-]", r"[[a-c][0-9]]", r"[^[a-c]x]", r"[\]\[]", r"\p{Han}+", r"\p{Greek}",
                r"\p{^L}", r"\P{Lu}", r"\p{cyrillic}+", r"\p{Hiragana}|\p{Katakana}", r"[\p{Thai}\p{Arabic}]+", r"\p{M}+", r"\p{Nl}|\p{No}",
                r"\p{Cc}", r"\x41|\x{4e2d}|\u4f60", r"\t|\n|\r|\f|\v|\e|\a", r"\.|\*|\#|\ ", r"(?<word>\w)\W", r".", "a|", r"\p{Any}"]
    specs += [split({"Regex": p}) for p in patterns]
    specs += [split({"String": s}) for s in ("--", ".", "[WORD]", "\u4e2d", "^", "a b")]
    specs += [{"type": "Digits", "individual_digits": b} for b in (False, True)]
    specs += [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "Punctuation"}]
    specs += [{"type": "ByteLevel", "add_prefix_space": p, "trim_offsets": True, "use_regex": r} for p in (False, True) for r in (False, True)]
    specs += [{"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": s, "split": b} for s in ("first", "always", "never")
              for b in (False, True)]
    specs += [{"type": "Metaspace", "replacement": "_", "add_prefix_space": True}, {"type": "Metaspace", "replacement": "\u2581"}]
    specs.append({"type": "Sequence", "pretokenizers": [split({"Regex": r"\p{N}{1,3}"}), split({"Regex": DEEPSEEK_CJK}),
                                                        split({"Regex": DEEPSEEK_WORDS}),
                                                        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                                         "use_regex": False}]})
    specs.append({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
                                                        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}]})
    specs.append({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}, {"type": "Digits", "individual_digits": False},
                                                        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}]})
    return specs


def normalizer_specs() -> list[dict]:
    def replace(pattern, content):
        return {"type": "Replace", "pattern": pattern, "content": content}
    specs = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")]
    specs += [{"type": "Strip", "strip_left": l, "strip_right": r} for l in (False, True) for r in (False, True)]
    specs += [replace({"String": " "}, "\u2581"), replace({"String": "aa"}, "a"), replace({"Regex": r"\s+"}, " "),
              replace({"Regex": r"^"}, ">"), replace({"Regex": r"x*"}, "-"), replace({"Regex": r"(a)(b)"}, "$2\\1"),
              {"type": "Prepend", "prepend": "\u2581"}]
    specs.append({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                                                      {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFC"}]})
    return specs


def decoder_specs() -> list[dict]:
    def replace(pattern, content):
        return {"type": "Replace", "pattern": pattern, "content": content}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    byte_fallback, fuse, space = {"type": "ByteFallback"}, {"type": "Fuse"}, replace({"String": "\u2581"}, " ")
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    specs = [byte_level, byte_fallback, fuse, space, strip, {"type": "Strip", "content": "a", "start": 2, "stop": 0},
             replace({"Regex": r"[ab]+"}, "-"), replace({"Regex": r"b*"}, "+")]
    specs += [{"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": s} for s in ("first", "always", "never")]

    def sequence(*members):
        return {"type": "Sequence", "decoders": list(members)}
    specs += [sequence(space, byte_fallback, fuse, strip), sequence(space, byte_fallback, fuse), sequence(fuse, space, strip),
              sequence(byte_fallback, fuse, replace({"Regex": "(ab)+"}, "AB")), sequence(byte_level, strip),
              sequence(byte_fallback, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"})]
    return specs


def decoder_inputs() -> list[list[str]]:
    rng = random.Random(5)
    pool = ["\u2581", "\u2581a", "a", "aa", "b", "ab", " ", "  ", "<0xE4>", "<0xBD>", "<0xA0>", "<0x41>", "<0xff>", "<0xF0>", "<0xZZ>", "<0x4>",
            "\u2581the\u2581", "Ġlamp", "Ã", "©", "é", "ä½ł", "😀", "<s>", "aba ", " a", "\u4f60", "\ufffd"]
    return [[rng.choice(pool) for _ in range(rng.randint(0, 12))] for _ in range(200)]


def with_part(key: str, spec: dict) -> Tokenizer:
    base = json.loads(Tokenizer(models.BPE()).to_str())
    base[key] = spec
    return Tokenizer.from_str(json.dumps(base))


def component_goldens(texts: list[str], sweep: str) -> dict:
    def pieces(t, text):
        return fnv1a(b"".join(p.encode() + b"\xff" for p, _ in t.pre_tokenizer.pre_tokenize_str(text)))
    out = {"pre_tokenizers": [], "normalizers": [], "decoders": [], "decoder_inputs": decoder_inputs()}
    for spec in split_specs():
        t = with_part("pre_tokenizer", spec)
        out["pre_tokenizers"].append({"spec": spec, "hashes": " ".join(pieces(t, text) for text in texts), "sweep": pieces(t, sweep)})
    for spec in normalizer_specs():
        t = with_part("normalizer", spec)
        out["normalizers"].append({"spec": spec, "hashes": " ".join(fnv1a(t.normalizer.normalize_str(x).encode()) for x in texts),
                                   "sweep": fnv1a(t.normalizer.normalize_str(sweep).encode())})
    for spec in decoder_specs():
        t = with_part("decoder", spec)
        out["decoders"].append({"spec": spec, "hashes": " ".join(fnv1a(t.decoder.decode(x).encode()) for x in decoder_inputs())})
    return out


def combined_goldens(texts: list[str]) -> list[dict]:
    """Normalizers that change where a text starts, before a metaspace that is added only there."""
    base = json.loads((HERE / "mistral.tokenizer.json").read_text(encoding="utf-8"))
    out = []
    for spec in normalizer_specs():
        t = Tokenizer.from_str(json.dumps(base | {"normalizer": spec}))
        ids = [t.encode(text, add_special_tokens=False).ids for text in texts]
        out.append({"spec": spec, "hashes": " ".join(hash_ids(i) for i in ids)})
    return out


def write(name: str, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (HERE / name).write_text(text.replace('},{"spec"', '},\n{"spec"') + "\n", encoding="utf-8")


def main() -> None:
    hard, rand = hard_texts(), random_texts(3, 320)
    data = hard + rand
    texts = [d.decode("utf-8", errors="replace") for d in data]
    ranges = settled_ranges()
    write("texts.json", {"num_hard": len(hard), "texts": [d.hex() for d in data], "settled_ranges": ranges})
    unit = b" ".join(data) + b"\n"
    mixed = (unit * (BIG_TEXT_BYTES // len(unit) + 1))[:BIG_TEXT_BYTES].decode("utf-8", errors="replace")
    bigs = [mixed, "a" * BIG_TEXT_BYTES, " " * BIG_TEXT_BYTES]
    for style in STYLES:
        name = style.__name__.removesuffix("_style")
        t = style()
        spec = json.loads(t.to_str())
        write(f"{name}.tokenizer.json", spec)
        write(f"{name}.expected.json", expected_of(Tokenizer.from_str(json.dumps(spec)), texts, len(hard), bigs))
        print(name, t.get_vocab_size())
    sweep = "".join(chr(c) + "x" for begin, end in ranges for c in range(begin, end))
    # Every third text: the parts take the same paths on the rest, and the file stays small.
    write("components.json", component_goldens(texts[::3], sweep) | {"combined": combined_goldens(texts[::3])})


if __name__ == "__main__":
    main()
