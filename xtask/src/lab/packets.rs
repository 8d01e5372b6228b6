//! What the lab and its members put into the tables of iptables.

use std::collections::BTreeSet;
use std::process::Command;

use super::machine::BRIDGE;
use super::node::PODS;
use super::output;

const TABLES: [&str; 3] = ["nat", "filter", "mangle"];

/// Lets pods reach each other where the machine forwards nothing by itself, as Docker sets it.
pub(super) fn let_pods_through() -> anyhow::Result<()> {
    for direction in ["--source", "--destination"] {
        let comment = ["--match", "comment", "--comment", BRIDGE];
        let mut command = Command::new("iptables");
        command.args(["--insert", "FORWARD", direction, PODS]).args(comment).args(["--jump", "ACCEPT"]);
        output(&mut command)?;
    }
    Ok(())
}

/// Removes all of it: the rules that name the lab in their comment, as ours and those of the network plugins do, the
/// chains of Kubernetes, of which there are none but the lab's (`up` has seen to that), and the rules that lead there.
pub(super) fn forget() -> anyhow::Result<()> {
    for program in ["iptables", "ip6tables"] {
        for table in TABLES {
            // A kernel may know no IPv6, or a table not.
            if let Ok(rules) = output(Command::new(program).args(["-t", table, "-S"])) {
                for arguments in removals(&rules) {
                    output(Command::new(program).args(["-t", table]).args(arguments))?;
                }
            }
        }
    }
    Ok(())
}

/// What to tell iptables, in this order, given what it prints of a table: first the rules in chains that stay are
/// deleted, then the lab's chains are emptied, then they are deleted.
fn removals(rules: &str) -> Vec<Vec<String>> {
    let rules: Vec<Vec<String>> = rules.lines().map(words).collect();
    let of_lab = |rule: &[String]| rule.iter().any(|word| word.contains(BRIDGE));
    let mut chains: BTreeSet<&str> = BTreeSet::new();
    for rule in &rules {
        match rule.as_slice() {
            [flag, chain] if flag == "-N" && chain.starts_with("KUBE-") => {
                chains.insert(chain);
            }
            // A network plugin's chain for one pod.
            rule if of_lab(rule) => chains.extend(target(rule).filter(|target| target.starts_with("CNI-"))),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for rule in &rules {
        let [flag, chain, rest @ ..] = rule.as_slice() else { continue };
        let leads_there = target(rule).is_some_and(|target| chains.contains(target));
        if flag == "-A" && !chains.contains(chain.as_str()) && (leads_there || of_lab(rule)) {
            all.push([&["-D".to_owned(), chain.clone()], rest].concat());
        }
    }
    for flag in ["-F", "-X"] {
        all.extend(chains.iter().map(|chain| vec![flag.to_owned(), (*chain).to_owned()]));
    }
    all
}

/// The chain, or the verdict, that a rule leads to.
fn target(rule: &[String]) -> Option<&str> {
    let at = rule.iter().position(|word| word == "-j")?;
    rule.get(at + 1).map(String::as_str)
}

/// The words of a rule as iptables prints it: parted by blanks, in double quotes if there are blanks within, and then
/// with a backslash before each quote.
fn words(rule: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = rule.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next()),
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_lab_go_and_those_of_others_stay() {
        let rules = r#"-P POSTROUTING ACCEPT
-N CNI-0f
-N CNI-77
-N KUBE-POSTROUTING
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -s 10.213.1.2/32 -m comment --comment "name: \"crontab-lab1\" id: \"abc\"" -j CNI-0f
-A POSTROUTING -s 10.9.1.2/32 -m comment --comment "name: \"podman\" id: \"abc\"" -j CNI-77
-A CNI-0f -d 10.213.1.0/24 -m comment --comment "name: \"crontab-lab1\" id: \"abc\"" -j ACCEPT
-A CNI-77 -d 10.9.1.0/24 -m comment --comment "name: \"podman\" id: \"abc\"" -j ACCEPT
-A KUBE-POSTROUTING -j MASQUERADE"#;
        let comment = r#"name: "crontab-lab1" id: "abc""#;
        let kube = "kubernetes postrouting rules";
        assert_eq!(
            removals(rules),
            [
                vec!["-D", "POSTROUTING", "-m", "comment", "--comment", kube, "-j", "KUBE-POSTROUTING"],
                vec![
                    "-D",
                    "POSTROUTING",
                    "-s",
                    "10.213.1.2/32",
                    "-m",
                    "comment",
                    "--comment",
                    comment,
                    "-j",
                    "CNI-0f"
                ],
                vec!["-F", "CNI-0f"],
                vec!["-F", "KUBE-POSTROUTING"],
                vec!["-X", "CNI-0f"],
                vec!["-X", "KUBE-POSTROUTING"],
            ]
        );
    }
}
