//! What holds for any text.

use crds::manifest::{Content, Document, MAX_PROBLEMS, read};
use proptest::prelude::*;

const JOB: &str = "apiVersion: crontab.dev/v1alpha1
kind: NodeCronJob
metadata: {name: neighbour}
spec:
  schedule: \"*/5 * * * *\"
  template: {command: \"true\"}
";

/// Texts that look like YAML, and like nothing at all.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "apiVersion: crontab.dev/v1alpha1\n",
        "kind: NodeCronJob\n",
        "kind: List\n",
        "metadata:",
        "spec:",
        "items:",
        "  name: x\n",
        "  schedule: ",
        "  template: ",
        "    command: ",
        "    env:",
        "\"*/5 * * * *\"",
        "@every 5s",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!",
        "# c\n",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "  ",
        "---",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "é",
        "夜",
        "\0",
        "~",
        "0x1f",
        "-1",
        "1e9",
        "yes",
        "null",
        "\\",
        "\"\\u00e9\"",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..40).prop_map(|words| words.concat()),
        (prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<char>()).prop_map(|(places, c)| {
            let mut text: Vec<char> = JOB.chars().collect();
            for place in places {
                let at = place.index(text.len());
                text[at] = c;
            }
            text.into_iter().collect()
        }),
        any::<String>(),
    ]
}

/// The document without its place.
fn content(document: &Document) -> &Content {
    &document.content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics_and_places_lie_in_it(text in text()) {
        let lines = text.split('\n').flat_map(|line| line.split('\r')).count();
        for document in read(&text) {
            prop_assert!((1..=lines).contains(&document.line));
            if let Content::Refused(refusal) = document.content {
                prop_assert!((1..=MAX_PROBLEMS).contains(&refusal.problems.len()));
                for problem in refusal.problems {
                    prop_assert!(problem.line.is_none_or(|line| (1..=lines + 1).contains(&line)), "{problem:?} of {lines}");
                    prop_assert!(!problem.message.is_empty());
                }
            }
        }
    }

    #[test]
    fn documents_around_a_broken_one_are_unaffected(text in text()) {
        let alone = &read(JOB).next().unwrap();
        // The text may itself be many documents.
        let all: Vec<Document> = read(&format!("{JOB}---\n{text}\n---\n{JOB}")).collect();
        prop_assert!(all.len() >= 2);
        prop_assert_eq!(content(&all[0]), content(alone));
        prop_assert_eq!(content(&all[all.len() - 1]), content(alone));
    }
}

#[test]
fn large_and_deep_documents_end_in_words() {
    let deep = |n: usize| format!("a: {}", "[".repeat(n));
    let chain: Vec<_> = (1..30_000).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1)).collect();
    let unknown: Vec<_> = (0..50_000).map(|i| format!("f{i}: x\n")).collect();
    let table = [
        ("a long document", format!("{JOB}# {}\n", "x".repeat(1 << 20)), "at most 1048576 are read"),
        ("deep lists", deep(200), "nested more than 64 levels"),
        ("very deep lists", deep(500_000), "this is not YAML"),
        (
            "a chain of aliases",
            format!("a0: &a0 x\n{}", chain.concat()),
            "aliases counted as what they stand for",
        ),
        ("many unknown fields", JOB.to_owned() + &unknown.concat(), "unknown field"),
        ("one long key", format!("{JOB}{}: x\n", "k".repeat(1_000)), "unknown field"),
    ];
    for (what, text, expected) in table {
        let documents: Vec<Document> = read(&text).collect();
        let [Document { content: Content::Refused(refusal), .. }] = &documents[..] else {
            panic!("{what}: {} documents", documents.len())
        };
        let first = &refusal.problems[0].message;
        assert!(first.contains(expected), "{what}: {first}");
    }
}
