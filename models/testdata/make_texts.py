"""Writes texts.json: the 200 texts on which models are compared with the reference library."""

import json
import pathlib
import random

random.seed(20240)

by_hand = [
    # nothing, blanks, control characters
    "", " ", "   \t  ", "\n", "\r\n\r\n", "\u00a0\u2003\u3000", "\u0000", "\u0000\u0001\u0002", "a\u0000b", "tab\tseparated\tvalues",
    "line one\nline two\r\nline three", "\u200b", "zero\u200bwidth\u200djoiner", "bell\u0007 and escape\u001b[31m red", "\ufeffbyte order mark", "soft\u00adhyphen",
    "\u202eright to left override", "replacement \ufffd character", "   leading and trailing   ", "\u007f delete \u0085 next line",
    # short English
    "hello world", "Hello, world!", "HELLO WORLD", "a", "I", ".", "?!", "...", "don't", "rock 'n' roll", "state-of-the-art", "e-mail", "U.S.A.",
    "The cat sits on the mat.", "A dog plays in the park.", "The weather is nice today.", "He drove to the stadium.", "What is the capital of France?",
    "Paris is the capital of France.", "How do I reset my password?", "I cannot log in to my account.", "The bank raised interest rates again.",
    "We sat on the bank of the river.", "This movie was not good.", "This movie was good.", "Buy milk, eggs and bread on the way home.",
    # numbers, code, addresses
    "3.14159", "1,000,000", "-42", "12:30 on 2024-01-31", "$19.99 (20% off)", "x = y + 2 * z", "for (int i = 0; i < n; i++) { sum += a[i]; }",
    "SELECT name FROM users WHERE id = 7;", "https://example.org/a/b?c=d&e=f#g", "someone@example.org", "C:\\Users\\name\\file.txt", "/usr/local/bin",
    "func main() { fmt.Println(\"hello\") }", "<div class=\"note\">text</div>", "{\"key\": [1, 2, {\"nested\": null}]}", "0xdeadbeef", "a_b_c __init__",
    "#hashtag @mention", "[CLS] literal [SEP] special [MASK] tokens [UNK] [PAD]", "[unused1] ##ing",
    # accents, other Latin
    "Crème brûlée à la carte", "Ångström, naïve, façade, coöperate", "El niño comió piñas mañana", "Straße, Größe, Übermut, Äpfel", "Žluťoučký kůň úpěl ďábelské ódy",
    "Zażółć gęślą jaźń", "İstanbul'da ılık bir gün", "Đây là tiếng Việt có dấu", "e\u0301 decomposed and \u00e9 composed", "ﬁne ligatures ﬀ", "Ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３",
    "Smørrebrød og æbleskiver", "Þetta er íslenska", "Szőlőskert és gyümölcsös", "œuvre, cœur, Œdipe", "ȺȾɃ İiIı",
    # other scripts
    "Привет, мир! Как дела?", "Съешь же ещё этих мягких французских булок", "Γειά σου Κόσμε", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία", "مرحبا بالعالم", "السلام عليكم ورحمة الله",
    "שלום עולם", "नमस्ते दुनिया", "হ্যালো বিশ্ব", "வணக்கம் உலகம்", "สวัสดีชาวโลก", "გამარჯობა მსოფლიო", "Բարեւ աշխարհ", "ሰላም ልዑል", "ជំរាបសួរ", "မင်္ဂလာပါ", "ಹಲೋ ಜಗತ್ತು",
    # CJK
    "你好，世界", "我喜欢吃苹果和香蕉。", "今日は良い天気ですね。", "こんにちは世界", "カタカナとひらがな", "안녕하세요 세계", "대한민국의 수도는 서울이다", "混合 mixed 文字 text 123", "𠀀𠀁 rare", "漢字かな交じり文 with English",
    "㈱ ㍻ ㌔", "你a好b世c界",
    # emoji and symbols
    "😀", "I love pizza 🍕🍕🍕", "👩‍👩‍👧‍👦 family", "👍🏽 thumbs", "🇫🇷 🇯🇵 flags", "❤️ heart", "☃ snowman ☂", "∑ ∫ √ ∞ ≠ ≤", "½ ¼ ² ³ ₂", "€ £ ¥ ₹ ₿", "→ ← ↑ ↓", "♠♥♦♣", "™ © ®", "“quotes” ‘single’ «guillemets»",
    "— em dash – en dash … ellipsis", "a·b•c", "\ue000 private use", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\U0001f9d1\u200d\U0001f680 astronaut", "ᚠᛇᚻ runes",
    # long words
    "antidisestablishmentarianism", "pneumonoultramicroscopicsilicovolcanoconiosis", "Donaudampfschifffahrtsgesellschaftskapitän", "x" * 99, "x" * 100, "x" * 101, "ab" * 300, "!" * 80,
    "supercalifragilisticexpialidocious " * 3, "a-b-" * 40,
]

words = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would "
    "their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do "
    "any like my now over such our man me even most made after also well back through years where much your way down should because each just those people how "
    "too little state good very make world still own see men work long get here between both life being under never day same another know while last might us great "
    "old year off come since against go came right used take three river engine protein harbour lantern quarterly invoice turbine melody cathedral gradient pancake "
    "velocity mountain cactus ledger violin asteroid parliament yoghurt compiler tectonic orchid saxophone latency vineyard photon"
).split()
marks = [",", ".", ";", ":", "?", "!", " -", " (", ")"]


def sentence(n):
    out = []
    for _ in range(n):
        w = random.choice(words)
        out.append(random.choice([w, w, w, w.capitalize(), w + random.choice(marks)]))
    return " ".join(out)


texts = list(by_hand)
texts += [
    sentence(600),  # cut to the maximum length
    " ".join(["word"] * 254),  # exactly the 256 tokens of all-MiniLM-L6-v2
    " ".join(["word"] * 255),  # one too many
    " ".join(["word"] * 600),
    "漢字" * 300,
    "unbreakable" * 60,
]
while len(texts) < 200:
    texts.append(sentence(random.choice([3, 5, 8, 12, 20, 30, 30, 60, 120])))
assert len(texts) == 200 and len(set(texts)) == 200, (len(texts), len(set(texts)))
here = pathlib.Path(__file__).parent
(here / "texts.json").write_text(json.dumps(texts, indent=0) + "\n")
