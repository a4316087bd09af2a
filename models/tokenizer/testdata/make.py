"""Writes the fixtures of this folder from the reference tokenizers library.

    python3 -m venv v && v/bin/pip install tokenizers==0.23.3
    v/bin/python make.py PATH/TO/all-MiniLM-L6-v2/tokenizer.json

tokenizer.json.gz   the file given, as it is
cases.json.gz       texts, and their ids and offsets under several settings
codepoints.txt.gz   what normaliser and splitter do to each code point
"""

import base64
import codecs
import gzip
import hashlib
import json
import pathlib
import random
import struct
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).parent
RNG = random.Random(20240229)

SCRIPTS = {  # ranges of letters to make words of
    "Latin": "41-5A 61-7A", "Latin extended": "C0-D6 D8-F6 F8-24F", "Vietnamese": "1EA0-1EF9", "Greek": "391-3A1 3A3-3CE",
    "Greek extended": "1F00-1F15 1F80-1FB4", "Cyrillic": "400-45F", "Armenian": "531-556 561-587", "Hebrew": "5D0-5EA 5B0-5BC",
    "Arabic": "621-63A 641-652", "Syriac": "710-72F", "Devanagari": "905-939 93E-94D 958-95F", "Bengali": "985-98C 995-9A8 9BE-9C4",
    "Gurmukhi": "A15-A28 A3E-A42", "Gujarati": "A95-AA8 ABE-AC5", "Tamil": "B95-B9A BBE-BCD", "Telugu": "C15-C28 C3E-C4D",
    "Kannada": "C95-CA8 CBE-CCD", "Malayalam": "D15-D28 D3E-D4D", "Sinhala": "D9A-DB1 DCF-DDE", "Thai": "E01-E3A E40-E4E", "Lao": "E81-EB9",
    "Tibetan": "F40-F47 F71-F81", "Myanmar": "1000-103E", "Georgian": "10D0-10F0 1C90-1CB0", "Hangul": "AC00-D7A3",
    "Jamo": "1100-1112 1161-1175 11A8-11C2", "Ethiopic": "1200-1248", "Cherokee": "13A0-13F5 AB70-ABBF", "Khmer": "1780-17D3",
    "Mongolian": "1820-1842", "Hiragana": "3041-3096", "Katakana": "30A1-30FA FF66-FF9D", "Han": "4E00-9FA5", "Han B": "20000-20400",
    "Han compatibility": "F900-FA2D 2F800-2F900", "Balinese": "1B05-1B44", "Gothic": "10330-1034A", "Deseret": "10400-1044F",
    "Mathematical": "1D400-1D7FF", "Musical": "1D15E-1D172", "Adlam": "1E900-1E94A", "Braille": "2800-28FF",
}

SENTENCES = """All human beings are born free and equal in dignity and rights.
Tous les êtres humains naissent libres et égaux en dignité et en droits, n'est-ce pas ?
Alle Menschen sind frei und gleich an Würde und Rechten geboren; Straße, ẞ, Fußgängerübergänge.
Todos los seres humanos nacen libres e iguales. ¿Mañana? ¡Sí, señor!
Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.
Wszyscy ludzie rodzą się wolni i równi, łącznie z Łodzią.
Bütün insanlar hür doğarlar. İstanbul'da ıspanak, IĞDIR.
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.
Все люди рождаются свободными и равными в своём достоинстве; ёлка, Йод.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια. ΟΔΥΣΣΕΥΣ
כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. שָׁלוֹם
يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. مُحَمَّد ١٢٣
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।
সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।
மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。ﾊﾝｶｸ
人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心。
ყველა ადამიანი იბადება თავისუფალი და თანასწორი. ᲗᲑᲘᲚᲘᲡᲘ
Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ։
የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።
E = mc² — “quotes”, ‘single’, «guillemets», 50 % off… €9.99 ≠ £8 ± ½; x₁ ≤ x₂; a≠b, ≮ ≯
user@example.com https://example.com/a?b=c#d C:\\path\\to file_name-1.txt (v2.0.1-rc1+build) {"k": [1, 2]}
don't can't won't I'll they're rock'n'roll state-of-the-art 3,141,592.65 1e-9 0xDEADBEEF $100 #tag @name
supercalifragilisticexpialidocious antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis""".split("\n")

EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇯🇵", "1️⃣", "❤️", "☺", "🧑🏿‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "©️", "™", "🫠", "\u200d", "\ufe0f", "🤷‍♀️"]
SPACES = [chr(c) for c in (9, 10, 11, 12, 13, 0x85, 0xA0, 0x1680, 0x2000, 0x2003, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)]
CONTROLS = [chr(c) for c in (0, 1, 7, 8, 0x1B, 0x7F, 0x9F, 0xAD, 0x200B, 0x200E, 0x2060, 0xFEFF, 0xFFF9, 0xFFFD, 0xE000, 0xF8FF, 0xE0001, 0x10FFFD, 0x180E, 0x61C, 0x378, 0xFFFF, 0x10FFFF)]
MARKS = [chr(c) for c in (0x300, 0x301, 0x308, 0x30A, 0x316, 0x323, 0x327, 0x334, 0x338, 0x345, 0x34F, 0x35C, 0x5B0, 0x5BF, 0x64B, 0x651, 0x93C, 0x94D, 0xE38, 0xE49,
         0xF71, 0xF72, 0xF73, 0xF81, 0x302E, 0x302F, 0x3099, 0x309A, 0x1B44, 0xA953, 0x1D165, 0x1D16D, 0x1D16E, 0x1D172, 0x20D0, 0x20DD, 0x340, 0x344, 0xFB1E, 0x1E000,
         0x1DFA, 0x8D3, 0x16FF0, 0x1DF5, 0x110BA, 0x1133B, 0x11F41)]
PUNCT = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["。", "、", "，", "–", "—", "«", "»", "¿", "¡", "…", "·", "„", "†", "؟", "।", "；", "〈", "\u037e", "‽", "⁇"]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[cls]", "[MASK", "MASK]", "[[MASK]]", "[unused1]", "[", "]", "[ MASK ]", "[SEP][SEP]"]


ADDED = ["the", "[MASK]", "é", "中", "[", "a", "über", "the end", "…", "foo_bar", "\u0438\u0306"]


def letters(ranges):
    out = []
    for r in ranges.split():
        first, last = (int(x, 16) for x in r.split("-"))
        out += map(chr, range(first, last + 1))
    return out


def word(chars, longest=9):
    return "".join(RNG.choice(chars) for _ in range(RNG.randint(1, longest)))


def sentence(words, n):
    out = []
    for _ in range(n):
        out.append(words())
        p = RNG.random()
        out.append(RNG.choice(PUNCT) if p < 0.08 else RNG.choice(PUNCT) + " " if p < 0.2 else " ")
    return "".join(out)


def texts(vocab):
    """All texts, as bytes; some are not UTF-8."""
    whole = [t for t in vocab if not t.startswith("##") and t.isalpha()]
    parts = [t[2:] for t in vocab if t.startswith("##")]
    for n in (2, 3, 4, 6, 9, 15, 40) * 5:
        yield "".join(RNG.choice(ADDED) + RNG.choice(["", " ", "  ", "\t\u3000", "x", "."]) for _ in range(n))
    yield from ("", " ", "a", "\n\t ", "[MASK]", "\0", "\u0301", "é", "e\u0301", "İ", "ſ", "ﬁ", "Å", "Å")
    yield from SENTENCES
    for s in SENTENCES:
        yield s.upper()
        yield s.lower() + " " + s
    for name, ranges in SCRIPTS.items():
        chars = letters(ranges)
        for n in (1, 2, 9, 58, 62, 66):
            yield sentence(lambda: word(chars), n)
    every = [letters(r) for r in SCRIPTS.values()]
    for n in [2, 8, 58, 64] * 42:
        yield sentence(lambda: word(RNG.choice(every)), n)
    for n in [3, 9, 12, 65, 70] * 60:
        yield sentence(lambda: RNG.choice(whole).capitalize() if RNG.random() < 0.2 else RNG.choice(whole), n)
    for n in [2, 8, 32, 36] * 50:
        yield sentence(lambda: RNG.choice(whole) + "".join(RNG.choice(parts) for _ in range(RNG.randint(0, 3))), n)
    noise = [EMOJI, SPACES, CONTROLS, MARKS, PUNCT, SPECIAL]
    for kind in noise:
        for n in [1, 5, 45, 60] * 9:
            yield sentence(lambda: RNG.choice(whole) + "".join(RNG.choice(kind) for _ in range(RNG.randint(1, 4))), n)
    for n in [1, 5, 40, 50] * 30:  # marks in any order behind anything
        yield sentence(lambda: "".join(RNG.choice([RNG.choice(RNG.choice(every)), RNG.choice(MARKS), RNG.choice(MARKS)]) for _ in range(RNG.randint(1, 9))), n)
    for n in [2, 8, 36, 40] * 50:  # everything at once
        yield sentence(lambda: "".join(RNG.choice([RNG.choice(whole), RNG.choice(parts), RNG.choice(RNG.choice(noise)), RNG.choice(RNG.choice(every))]) for _ in range(RNG.randint(1, 4))), n)
    for n in (63, 64, 65, 99, 100, 101, 102, 200):  # about the longest word
        for c in ("a", "é", "e\u0301", "ж", "x\u200b", "ing", "ab"):
            yield c * n + " end"
            yield "Start " + c * n
    for n in (6, 30, 110) * 20:  # any code point
        yield "".join(chr(RNG.choice([RNG.randrange(0xD800), RNG.randrange(0xE000, 0x110000), RNG.randrange(0x300, 0x2000)])) for _ in range(n))
    for n in (1, 2, 3, 120, 150) * 25:  # any bytes
        yield bytes(RNG.choice([RNG.randrange(256), RNG.choice(b"\xc2\xe0\xe2\xed\xef\xf0\xf4\x80\x9f\xa0\xbf"), RNG.randrange(97, 123), 32]) for _ in range(n))
    for n in (1, 3, 9, 60, 70) * 40:  # broken text
        b = bytearray(sentence(lambda: RNG.choice([RNG.choice(whole), word(RNG.choice(every)), RNG.choice(EMOJI)]), n).encode())
        for _ in range(RNG.randint(1, 6)):
            i = RNG.randrange(len(b))
            b[i : i + RNG.randint(0, 2)] = RNG.choice([b"", b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5"])
        yield bytes(b)


GIANTS = {  # name: (unit, times)
    "one letter": (b"a", 1 << 20), "words of 100 letters": (b"a" * 100 + b" ", 10000), "combining marks": ("\u0301".encode(), 1 << 19),
    "marks out of order": ("\u0301\u0323\u302e".encode(), 1 << 17), "ideographs": ("中".encode(), 350000), "blanks": (b" ", 1 << 20),
    "brackets": (b"[", 1 << 20), "spaced brackets": (b"[ ", 1 << 19), "half a token": (b"[MAS", 1 << 18), "accents": ("é".encode(), 1 << 19),
    "broken bytes": (b"\xe2\x82", 1 << 19), "controls": (b"\0", 1 << 20), "subwords": ("tokenizationé".encode() * 8 + b" ", 9000),
}


def decode(data):
    """The text as Python decodes it, and the byte where each character begins."""
    bad = {}

    def replace(e):
        bad[e.start] = e.end
        return "\ufffd", e.end

    codecs.register_error("spans", replace)
    text = data.decode("utf-8", "spans")
    assert text == data.decode("utf-8", "replace")
    starts, at = [], 0
    for c in text:
        starts.append(at)
        at = bad[at] if at in bad else at + len(c.encode())
    assert at == len(data)
    return text, starts + [at], len(bad)


def encode(tokenizer, data):
    """ids, byte offsets, number of ill-formed subparts."""
    text, starts, invalid = decode(data)
    e = tokenizer.encode(text)
    return e.ids, [(starts[a], starts[b]) for a, b in e.offsets], invalid


def deltas(offsets):
    """Starts from the last end, and lengths: small numbers."""
    out, last = [], 0
    for start, end in offsets:
        out += [start - last, end - start]
        last = end
    return out


def token(id, content, **flags):
    base = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {"id": id, "content": content, **base, **flags}


def settings(spec):
    """name, what it changes in tokenizer.json, share of the texts it is tried on."""
    normalizer = spec["normalizer"]
    n = len(spec["model"]["vocab"])
    yield "as it is", {}, 1
    for name, change in {
        "cased": dict(lowercase=False), "cased, no accents": dict(lowercase=False, strip_accents=True),
        "accents": dict(strip_accents=False), "as it comes": dict(clean_text=False),
        "ideographs in words": dict(handle_chinese_chars=False), "case only": dict(clean_text=False, handle_chinese_chars=False, strip_accents=False),
        "accents only": dict(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
        "nothing": dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False),
    }.items():
        yield name, {"normalizer": {**normalizer, **change}}, 18
    bert = {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}
    yield "no template, short words", {"post_processor": None, "model": {"max_input_chars_per_word": 5}}, 18
    yield "BertProcessing, another prefix", {"post_processor": bert, "model": {"continuing_subword_prefix": "re"}}, 18
    yield "no prefix", {"model": {"continuing_subword_prefix": ""}}, 18
    for name, flags in {
        "raw": {}, "single": dict(single_word=True), "left": dict(lstrip=True), "right": dict(rstrip=True),
        "both": dict(lstrip=True, rstrip=True, single_word=True),
    }.items():
        for normalized in (False, True):
            added, next_id = list(spec["added_tokens"]), n
            for w in ADDED:
                if any(a["content"] == w for a in added):
                    continue
                id = spec["model"]["vocab"].get(w)
                if id is None:
                    id, next_id = next_id, next_id + 1
                added.append(token(id, w, normalized=normalized, **flags))
            added = sorted(added, key=lambda a: a["id"])
            yield f"added tokens, {name}, normalized {normalized}", {"added_tokens": added}, 18


def adapt(spec, patch):
    out = {**spec, **{k: v for k, v in patch.items() if k != "model"}}
    out["model"] = {**spec["model"], **patch.get("model", {})}
    out["padding"] = out["truncation"] = None
    return Tokenizer.from_str(json.dumps(out))


def write(name, data):
    (HERE / name).write_bytes(gzip.compress(data, 9, mtime=0))


def digest(ids, offsets):
    h = hashlib.sha256()
    for id, (a, b) in zip(ids, offsets):
        h.update(struct.pack("<iii", id, a, b))
    return h.hexdigest()


def cases(source):
    spec = json.loads(source)
    every = list(dict.fromkeys(t.encode() if isinstance(t, str) else t for t in texts(spec["model"]["vocab"])))
    out = {"version": tokenizers.__version__, "texts": [base64.b64encode(t).decode() for t in every], "settings": [], "giants": []}
    for k, (name, patch, share) in enumerate(settings(spec)):
        tokenizer = adapt(spec, patch)
        rows = []
        for i in range(len(every)):
            if i >= 35 and i % share != k % share:  # the first ones are full of added tokens
                continue
            ids, offsets, invalid = encode(tokenizer, every[i])
            rows.append([i, invalid, ids, deltas(offsets)])
        out["settings"].append({"name": name, "patch": patch, "rows": rows})
    tokenizer = adapt(spec, {})
    for name, (unit, times) in GIANTS.items():
        ids, offsets, invalid = encode(tokenizer, unit * times)
        out["giants"].append({"name": name, "unit": base64.b64encode(unit).decode(), "times": times, "invalid": invalid, "tokens": len(ids), "sha256": digest(ids, offsets)})
    write("cases.json.gz", json.dumps(out, separators=(",", ":")).encode())
    rows = out["settings"][0]["rows"]
    print(len(every), "texts,", sum(len(r[2]) > 64 for r in rows), "of more than 64 tokens,", sum(len(r[2]) for r in rows), "tokens")


def codepoints():
    """A line for each run of code points with the same fate: first, last, result. In a result, c is the
    code point itself, _ a blank, and numbers are hexadecimal differences from the code point. The settings together are only
    digests, one for each 4096 code points."""
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    out = []
    cps = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]

    def table(name, result):
        out.append("# " + name)
        runs = []
        for cp in cps:
            r = result(chr(cp))
            if runs and runs[-1][2] == r and runs[-1][1] == cp - 1:
                runs[-1][1] = cp
            else:
                runs.append([cp, cp, r])
        out.extend("%x %x %s" % tuple(run) for run in runs)

    for name in off:
        n = normalizers.BertNormalizer(**{**off, name: True})
        table(name, lambda c: ",".join("c" if x == c else "_" if x == " " else "%x" % (ord(x) - ord(c)) for x in n.normalize_str(c)))
    splitter = pre_tokenizers.BertPreTokenizer()
    table("split", lambda c: len(splitter.pre_tokenize_str("a" + c + "a")))
    t = Tokenizer(models.WordPiece({"[UNK]": 0, "[X]": 1}, unk_token="[UNK]"))
    t.add_tokens([AddedToken("[X]", normalized=False, single_word=True)])
    table("word", lambda c: int(1 not in t.encode(c + "[X]").ids))
    print(len(out), "runs of code points")
    for on in range(16):
        flags = {name: bool(on >> i & 1) for i, name in enumerate(off)}
        n = normalizers.BertNormalizer(**flags)
        out.append("# together " + " ".join(name for name in flags if flags[name]))
        for first in range(0, 0x110000, 4096):
            chars = (chr(c) for c in range(first, first + 4096) if not 0xD800 <= c <= 0xDFFF)
            text = "\n".join(n.normalize_str("x" + c + "y") for c in chars)
            out.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    write("codepoints.txt.gz", "\n".join(out).encode() + b"\n")


if __name__ == "__main__":
    source = pathlib.Path(sys.argv[1]).read_bytes()
    write("tokenizer.json.gz", source)
    cases(source)
    codepoints()
