"""Values that are wrong for nearly every option."""

from __future__ import annotations

WRONG = (
    "nan", "inf", "-inf", "-1", "0", "0.5", "1.5", "3", "1e30", "-1e30", "1000000000000", "9" * 5000, "''", "word",
    "null", "true", "no", "[]", "[1,2]", "[a]", "[nan]", "[[1]]", "{a:1}", "{a:{b:[c]}}", "{1:2}", "{null:1}", "{}",
    "{from:1,to:2,end_kimg:1}", "{from:nan,to:0,end_kimg:1}", "{from:1,to:0,end_steps:1e30}", "{from:x}", "é",
    "'\u2028'", "/nowhere/at/all", "../..", "~", "n" * 300, "'${oc.env:HOME}'", "???", "'a b: c'", "'0x10'",
)  # fmt: skip
