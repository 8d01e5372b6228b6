//! What can't be used as a job.

use crate::world::{EACH_SECOND, job};

/// A key below `/cron/` and a value, of which at least one can't be used.
pub(crate) struct Malformed {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

const VALUES: &[&str] = &[
    // No JSON.
    "",
    " ",
    "\n",
    "true && echo",
    "{",
    "}",
    "{}{}",
    r#"{"name":"x","command":"true","cronExpr":"* * * * * * *""#,
    r#"{"name":"x","command":"true","cronExpr":"* * * * * * *"}}"#,
    r#"{"name":"x","command":"true","cronExpr":"* * * * * * *",}"#,
    r"{'name':'x','command':'true','cronExpr':'* * * * * * *'}",
    r#"{name:"x",command:"true",cronExpr:"* * * * * * *"}"#,
    r#"{"name":"x","command":"true \q","cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":"\ud800","cronExpr":"* * * * * * *"}"#,
    "\u{feff}{\"name\":\"x\",\"command\":\"true\",\"cronExpr\":\"* * * * * * *\"}",
    "name: x\ncommand: true\ncronExpr: '* * * * * * *'\n",
    "<job/>",
    // JSON of another shape.
    "null",
    "true",
    "1",
    "-0.0e999",
    r#""a text""#,
    "[]",
    "{}",
    r#"[{"name":"x","command":"true","cronExpr":"* * * * * * *"}]"#,
    r#"{"name":1,"command":"true","cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":["true"],"cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":{"a":1},"cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":"true","cronExpr":5}"#,
    r#"{"name":"x","command":"true","cronExpr":"* * * * * * *","spec":1}"#,
    r#"{"name":"x","command":"true","cronExpr":"* * * * * * *","spec":{}}"#,
    // Fields that are missing or empty.
    r#"{"name":"x"}"#,
    r#"{"name":"x","cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":"true"}"#,
    r#"{"name":"x","command":"","cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":"  ","cronExpr":"* * * * * * *"}"#,
    r#"{"name":"x","command":"true","cronExpr":""}"#,
    r#"{"name":"x","command":null,"cronExpr":null}"#,
    r#"{"name":"x","command":"a\u0000b","cronExpr":"* * * * * * *"}"#,
    r#"{"Name":"x","Command":"true","CronExpr":"* * * * * * *"}"#,
];

const EXPRESSIONS: &[&str] = &[
    "every minute",
    "*",
    "* * * *",
    "* * * * * * * *",
    "60 * * * * * *",
    "* * * * 13 * *",
    "* * 0 * *",
    "a b c d e",
    "*/0 * * * *",
    "1- * * * *",
    "-1 * * * *",
    "99999999999999999999 * * * *",
    "@fortnightly",
    "@reboot",
    "TZ=UTC * * * * *",
    "0 0 31 2 *",
];

/// Names that a job can't have.
const NAMES: &[&[u8]] = &[
    b"",
    b"/",
    b"/x",
    b"x/",
    b"x//y",
    b"../x",
    b"x/./y",
    b" x",
    b"x ",
    b"x\ny",
    b"x\x1b[31my",
    "x\u{202e}y".as_bytes(),
    b"x\xff\xfey",
    &[b'x'; 600],
];

/// Bytes that are no text, and sizes that nobody expects.
fn extremes() -> Vec<Vec<u8>> {
    let good = job("x", EACH_SECOND, "true");
    let nested = |open: &str, close: &str| {
        let depth = 100_000;
        format!("{}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    vec![
        b"\xff\xfe\x00\x01".to_vec(),
        [good.as_bytes(), b"\x00"].concat(),
        good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        vec![0; 4096],
        vec![b'x'; 1_200_000],
        job("x", EACH_SECOND, &"x".repeat(1_200_000)).into_bytes(),
        job("x", &"*,".repeat(100_000), "true").into_bytes(),
        nested("[", "]"),
        nested("{\"a\":", "}"),
        nested("{\"command\":", "}"),
    ]
}

/// All of them. Each has a key of its own.
pub(crate) fn malformed() -> Vec<Malformed> {
    let values = VALUES.iter().map(|value| value.as_bytes().to_vec());
    let expressions = EXPRESSIONS.iter().map(|expression| job("x", expression, "true").into_bytes());
    let values = values.chain(expressions).chain(extremes()).enumerate();
    let values = values.map(|(n, value)| Malformed { key: format!("jobs/value-{n}").into(), value });
    let named = NAMES.iter().map(|name| Malformed {
        key: [b"jobs/", *name].concat(),
        value: job("x", EACH_SECOND, "true").into_bytes(),
    });
    values.chain(named).collect()
}
